/** Drivers in sysfs: /sys/bus/pci/drivers/NAME with bind, unbind, new_id, remove_id (drivers/base/bus.c, drivers/pci/pci-driver.c). */
import { UapiError } from '../errno.ts'
import type { PciFunction } from '../pci/function.ts'
import { devicePath } from '../pci/pci-sysfs.ts'
import type { PciTopology } from '../pci/topology.ts'
import type { SysfsTree } from '../sysfs.ts'
import type { DriverCore } from './binding.ts'
import type { PciId } from './pci-id.ts'

/** PCI_ANY_ID. */
const ANY = 0xffff_ffff
const DRIVERS = '/sys/bus/pci/drivers'

/** Keeps the directories of registered drivers. */
export class DriverSysfs {
  readonly #sysfs: SysfsTree
  readonly #drivers: DriverCore
  readonly #pci: PciTopology

  constructor(sysfs: SysfsTree, drivers: DriverCore, pci: PciTopology) {
    this.#sysfs = sysfs
    this.#drivers = drivers
    this.#pci = pci
    sysfs.addDirectory(DRIVERS)
    sysfs.addFile('/sys/bus/pci/drivers_probe', {
      store: (text) => void drivers.attach(this.#named('drivers_probe', text)),
    })
    sysfs.addFile('/sys/bus/pci/drivers_autoprobe', {
      show: () => `${drivers.autoprobe ? 1 : 0}\n`,
      store: (text) => {
        drivers.autoprobe = !text.startsWith('0')
      },
    })
    for (const { name } of drivers.drivers) this.#add(name)
    drivers.onRegistered(({ name }, registered) => {
      if (registered) this.#add(name)
      else this.#sysfs.remove(`${DRIVERS}/${name}`)
    })
  }

  /** The machine boots: each driver's directory links to the functions it has. */
  start(): void {
    for (const fn of this.#pci.functions) this.#linkFunction(fn)
    this.#pci.onAdded((fn) => this.#linkFunction(fn))
    this.#pci.onRemoved((fn) => {
      for (const { name } of this.#drivers.drivers) this.#sysfs.remove(`${DRIVERS}/${name}/${fn.name}`)
    })
  }

  #add(name: string): void {
    const path = `${DRIVERS}/${name}`
    const file = (attribute: string, store: (text: string) => void): void =>
      this.#sysfs.addFile(`${path}/${attribute}`, { store })
    file('bind', (text) => this.#drivers.bind(name, this.#named('bind', text)))
    file('unbind', (text) => void this.#drivers.unbind(name, this.#named('unbind', text)))
    file('new_id', (text) => this.#drivers.addId(name, idOf('new_id', text)))
    file('remove_id', (text) => this.#drivers.removeId(name, idOf('remove_id', text)))
    for (const fn of this.#pci.functions) this.#link(name, fn)
  }
  #linkFunction(fn: PciFunction): void {
    for (const { name } of this.#drivers.drivers) this.#link(name, fn)
  }
  #link(name: string, fn: PciFunction): void {
    const path = `${DRIVERS}/${name}/${fn.name}`
    if (this.#sysfs.has(path)) return
    this.#sysfs.addLink(path, () => (this.#drivers.driverOf(fn)?.name === name ? devicePath(fn) : undefined))
  }
  #named(operation: string, text: string): PciFunction {
    const name = text.trim()
    const fn = this.#pci.functions.find((other) => other.name === name)
    if (!fn) throw new UapiError('ENODEV', operation, { function: name })
    return fn
  }
}

/** `vendor device [subvendor subdevice class class_mask]`, hexadecimal. @throws UapiError EINVAL for fewer than two */
function idOf(operation: string, text: string): PciId {
  const fields = text
    .trim()
    .split(/\s+/)
    .map((word) => Number.parseInt(word, 16))
  const [vendor, device, subvendor, subdevice, cls, classMask] = fields
  if (vendor === undefined || device === undefined || fields.some((field) => Number.isNaN(field))) {
    throw new UapiError('EINVAL', operation, { text })
  }
  return {
    vendor,
    device,
    ...(subvendor !== undefined && subvendor !== ANY && { subvendor }),
    ...(subdevice !== undefined && subdevice !== ANY && { subdevice }),
    ...(cls !== undefined && { class: cls }),
    ...(classMask !== undefined && { classMask }),
  }
}
