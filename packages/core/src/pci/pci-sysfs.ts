/** Functions in sysfs: /sys/bus/pci/devices/0000:00:01.0 and its attributes (drivers/pci/pci-sysfs.c). */
import { busOf } from '../address.ts'
import type { DriverCore } from '../driver/binding.ts'
import { idsOf } from '../driver/pci-id.ts'
import { UapiError } from '../errno.ts'
import { unsignedText } from '../kernel-text.ts'
import type { SysfsTree } from '../sysfs.ts'
import { forwardsAri } from './bridge.ts'
import type { PciFunction } from './function.ts'
import { HEADER } from './header.ts'
import { resourceText } from './resource-text.ts'
import type { FunctionResets } from './resets.ts'
import { addSriovFiles } from './sriov-sysfs.ts'
import type { PciTopology } from './topology.ts'

const BUS = '/sys/bus/pci'

/** Keeps the directories of functions while they stand on their bus. */
export class PciSysfs {
  readonly #sysfs: SysfsTree
  readonly #drivers: DriverCore
  #resets: FunctionResets | undefined

  /** @param drivers for `driver` and `driver_override` */
  constructor(sysfs: SysfsTree, drivers: DriverCore) {
    this.#sysfs = sysfs
    this.#drivers = drivers
    sysfs.addDirectory(`${BUS}/devices`)
  }

  /** The machine boots: functions that are there, and from now on those that come and go. */
  start(pci: PciTopology): void {
    this.#resets = pci.resets
    for (const fn of pci.functions) this.#add(fn)
    pci.onAdded((fn) => this.#add(fn))
    pci.onRemoved((fn) => {
      this.#sysfs.remove(`${BUS}/devices/${fn.name}`)
      this.#sysfs.remove(devicePath(fn))
    })
  }

  #add(fn: PciFunction): void {
    const path = devicePath(fn)
    const sysfs = this.#sysfs
    for (const [name, show] of Object.entries(texts(fn)))
      sysfs.addFile(`${path}/${name}`, { show: () => `${show()}\n` })
    sysfs.addFile(`${path}/config`, {
      show: () => configBytes(fn),
      storeAt: (offset, from) => writeConfigBytes(fn, offset, from),
    })
    if (isDisplay(fn)) sysfs.addFile(`${path}/boot_vga`, { show: () => (fn.romShadow ? '1\n' : '0\n') })
    this.#addResets(fn, path)
    addSriovFiles({ sysfs, drivers: this.#drivers, pathOf: devicePath }, fn)
    sysfs.addFile(`${path}/driver_override`, {
      show: () => `${this.#drivers.overrideOf(fn) ?? '(null)'}\n`,
      store: (text) => this.#drivers.setOverride(fn, line(text) || undefined),
    })
    // Virtual functions go with `sriov_numvfs` alone (pci_dev_hp_attrs_are_visible).
    if (!fn.virtfn) sysfs.addFile(`${path}/remove`, { store: (text) => this.#remove(fn, text) })
    sysfs.addLink(`${path}/subsystem`, BUS)
    sysfs.addLink(`${path}/driver`, () => {
      const driver = this.#drivers.driverOf(fn)
      return driver && `${BUS}/drivers/${driver.name}`
    })
    sysfs.addLink(`${BUS}/devices/${fn.name}`, path)
  }
  /** Only functions that can be reset have these files (pci_dev_reset_attr_is_visible). */
  #addResets(fn: PciFunction, path: string): void {
    const resets = this.#resets
    if (!resets || resets.of(fn).length === 0) return
    this.#sysfs.addFile(`${path}/reset_method`, {
      show: () => (resets.of(fn).length > 0 ? `${resets.of(fn).join(' ')}\n` : ''),
      store: (text) => resets.set(fn, text),
    })
    this.#sysfs.addFile(`${path}/reset`, {
      store: (text) => {
        if (unsignedText(text, 53) !== 1) throw new UapiError('EINVAL', 'reset', { text })
        const failed = resets.reset(fn)
        if (failed) throw new UapiError(failed, 'reset', { function: fn.name })
      },
    })
  }
  #remove(fn: PciFunction, text: string): void {
    const value = unsignedText(text, 53)
    if (value === undefined) throw new UapiError('EINVAL', 'remove', { text })
    if (value !== 0) this.#drivers.unplug(fn)
  }
}

/** `/sys/devices/pci0000:00/0000:00:03.0/0000:01:00.0`: bridges above are directories above. */
export function devicePath(fn: PciFunction): string {
  if (fn.parent) return `${devicePath(fn.parent)}/${fn.name}`
  const segment = fn.segment.toString(16).padStart(4, '0')
  return `/sys/devices/pci${segment}:${busOf(fn.bdf).toString(16).padStart(2, '0')}/${fn.name}`
}

/** Base class 03, subclass 00 (pci_is_vga). */
const isDisplay = (fn: PciFunction): boolean => idsOf(fn).class >>> 8 === 0x0300

/** What was written, without the newline of `echo` (strip as driver_set_override does). */
const line = (text: string): string => text.split('\n')[0] ?? ''

const hexOf = (digits: number, value: number): string => `0x${value.toString(16).padStart(digits, '0')}`

/** Attributes that read as one line. Nobody here narrows a DMA mask: 32 bits, as drivers/pci/probe.c pci_setup_device begins. */
function texts(fn: PciFunction): Readonly<Record<string, () => string>> {
  const always = {
    vendor: () => hexOf(4, idsOf(fn).vendor),
    device: () => hexOf(4, idsOf(fn).device),
    subsystem_vendor: () => hexOf(4, idsOf(fn).subvendor),
    subsystem_device: () => hexOf(4, idsOf(fn).subdevice),
    revision: () => hexOf(2, fn.readConfig(HEADER.REVISION_ID, 1)),
    class: () => hexOf(6, idsOf(fn).class),
    modalias: () => modalias(fn),
    resource: () => resourceText(fn),
    power_state: () => ['D0', 'D1', 'D2', 'D3hot'][fn.powerState] as string,
    dma_mask_bits: () => '32',
    consistent_dma_mask_bits: () => '32',
    ari_enabled: () => (fn.parent && forwardsAri(fn.parent) ? '1' : '0'),
  }
  const bridge = fn.bridge
  if (!bridge || bridge.secondary === 0) return always
  return {
    ...always,
    secondary_bus_number: () => `${bridge.secondary}`,
    subordinate_bus_number: () => `${bridge.subordinate}`,
  }
}

const upper = (digits: number, value: number): string => value.toString(16).toUpperCase().padStart(digits, '0')

function modalias(fn: PciFunction): string {
  const { vendor, device, subvendor, subdevice, class: code } = idsOf(fn)
  const ids = `v${upper(8, vendor)}d${upper(8, device)}sv${upper(8, subvendor)}sd${upper(8, subdevice)}`
  return `pci:${ids}bc${upper(2, code >>> 16)}sc${upper(2, (code >>> 8) & 0xff)}i${upper(2, code & 0xff)}`
}

function configBytes(fn: PciFunction): Uint8Array {
  const bytes = new Uint8Array(fn.config.length)
  const view = new DataView(bytes.buffer)
  for (let at = 0; at < bytes.length; at += 4) view.setUint32(at, fn.readConfig(at, 4), true)
  return bytes
}

/** pci_write_config(): in the widest pieces that alignment allows; beyond the end nothing is written. */
function writeConfigBytes(fn: PciFunction, offset: number, from: Uint8Array): number {
  const bytes = Math.max(0, Math.min(from.length, fn.config.length - offset))
  const view = new DataView(from.buffer, from.byteOffset, from.byteLength)
  for (let done = 0; done < bytes;) {
    const at = offset + done
    const left = bytes - done
    const size = at % 4 === 0 && left >= 4 ? 4 : at % 2 === 0 && left >= 2 ? 2 : 1
    const value =
      size === 4 ? view.getUint32(done, true) : size === 2 ? view.getUint16(done, true) : view.getUint8(done)
    fn.writeConfig(at, size, value)
    done += size
  }
  return bytes
}
