/** The only file of this package that meets the host: the PCI driver "vfio-pci". */
import {
  Completion,
  CompositionError,
  Cpus,
  type DriverCore,
  Drivers,
  Interrupts,
  isBridge,
  IoctlTable,
  IommuGroups,
  Kernel,
  Pci,
  type PciDriver,
  type PciFunction,
  type Plugin,
  type PluginHost,
  type Removal,
  Sysfs,
  UapiError,
  type VfioRegistration,
} from '@ioasis/core'
import { Vfio } from '@ioasis/vfio'
import { PCI_TABLE } from './calls.ts'
import { VfioPciDevice } from './device.ts'
import { isDenied } from './denylist.ts'
import type { PciParts } from './held-function.ts'
import { addParameters, type VfioPciParameters } from './parameters.ts'

/** How the driver starts. */
export interface VfioPciOptions {
  /** Functions to bind at boot, in this order, e.g. `0000:00:01.0` or `00:01.0`; the n-th becomes /dev/vfio/devices/vfio(n-1). */
  readonly bind?: readonly string[]
  /** Module parameters at boot; some can be written in sysfs later. Default: all off. */
  readonly parameters?: Partial<VfioPciParameters>
}

/** The driver that hands PCI functions to user space. It matches a function only by `driver_override` or an added id. */
export function vfioPci({ bind = [], parameters = {} }: VfioPciOptions = {}): Plugin {
  return {
    name: 'vfio-pci',
    contract: 1,
    needs: [Vfio, Drivers, Pci, IommuGroups, Interrupts, Cpus, Kernel, Sysfs],
    provides: [IoctlTable],
    setup: (host) => {
      host.provide(IoctlTable, PCI_TABLE)
      const drivers = host.get(Drivers)
      const all = { ...OFF, ...parameters }
      addParameters(host.get(Sysfs), all)
      drivers.register(new VfioPciDriver(host, all))
      host.onReady(() => {
        for (const place of bind) bindNow(drivers, functionAt(host, place))
      })
    },
  }
}

const OFF: VfioPciParameters = {
  nointxmask: false,
  disableVga: false,
  disableIdleD3: false,
  enableSriov: false,
  disableDenylist: false,
}

class VfioPciDriver implements PciDriver {
  readonly name = 'vfio-pci'
  readonly ids = [{ overrideOnly: true }]
  readonly managesDma = true
  readonly #parts: PciParts
  readonly #devices = new Map<
    PciFunction,
    { readonly device: VfioPciDevice; readonly registration: VfioRegistration }
  >()

  constructor(host: PluginHost, parameters: VfioPciParameters) {
    this.#parts = {
      parameters,
      pci: host.get(Pci),
      drivers: host.get(Drivers),
      groups: host.get(IommuGroups),
      vfio: host.get(Vfio),
      cpu: host.get(Cpus)[0],
      interrupts: host.get(Interrupts),
      pageBytes: host.get(Kernel).pageSize,
      deviceOf: (fn) => this.#devices.get(fn)?.device,
    }
  }

  probe(fn: PciFunction): void {
    if (isDenied(fn) && !this.#parts.parameters.disableDenylist)
      throw new UapiError('EINVAL', 'vfio_pci_probe', { function: fn.name })
    if (isBridge(fn.config)) throw new UapiError('EINVAL', 'vfio_pci_core_register_device', { function: fn.name })
    // Virtual functions that are on already cannot be kept for this driver.
    if (fn.sriov && fn.sriov.numVfs > 0)
      throw new UapiError('EBUSY', 'vfio_pci_core_register_device', { function: fn.name })
    const device = new VfioPciDevice(fn, this.#parts)
    device.power.set(0)
    try {
      this.#devices.set(fn, { device, registration: this.#parts.vfio.add(device) })
    } catch (error) {
      device.forget()
      throw error
    }
    device.power.idle()
  }
  sriovConfigure(fn: PciFunction, count: number): void {
    if (!this.#parts.parameters.enableSriov)
      throw new UapiError('ENOENT', 'vfio_pci_sriov_configure', { function: fn.name })
    this.#devices.get(fn)?.device.configureVirtual(count)
  }
  remove(fn: PciFunction): Removal {
    const bound = this.#devices.get(fn)
    if (!bound) throw new Error(`vfio-pci does not have ${fn.name}`)
    const { device, registration } = bound
    const removed = new Completion()
    device.removeVirtual().onDone(() => {
      registration.remove().onDone(() => {
        this.#devices.delete(fn)
        device.forget()
        if (fn.present) device.power.wake()
        removed.finish()
      })
    })
    return removed
  }
}

function functionAt(host: PluginHost, place: string): PciFunction {
  try {
    return host.get(Pci).get(place)
  } catch (error) {
    throw new CompositionError(`vfio-pci: ${(error as Error).message}`)
  }
}

/** As an administrator does it: driver_override, unbind, bind. */
function bindNow(drivers: DriverCore, fn: PciFunction): void {
  drivers.setOverride(fn, 'vfio-pci')
  const before = drivers.driverOf(fn)
  if (before) drivers.unbind(before.name, fn)
  drivers.bind('vfio-pci', fn)
}
