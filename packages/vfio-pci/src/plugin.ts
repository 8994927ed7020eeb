/** The only file of this package that meets the host: the PCI driver "vfio-pci". */
import {
  CompositionError,
  Cpus,
  type DriverCore,
  Drivers,
  Interrupts,
  IoctlTable,
  IommuGroups,
  Kernel,
  Pci,
  type PciDriver,
  type PciFunction,
  type Plugin,
  type PluginHost,
  type Removal,
  type VfioRegistration,
} from '@ioasis/core'
import { Vfio } from '@ioasis/vfio'
import { PCI_TABLE } from './calls.ts'
import { VfioPciDevice } from './device.ts'
import type { PciParts } from './held-function.ts'

/** How the driver starts. */
export interface VfioPciOptions {
  /** Functions to bind at boot, in this order, e.g. `0000:00:01.0` or `00:01.0`; the n-th becomes /dev/vfio/devices/vfio(n-1). */
  readonly bind?: readonly string[]
}

/** The driver that hands PCI functions to user space. It matches a function only by `driver_override` or an added id. */
export function vfioPci({ bind = [] }: VfioPciOptions = {}): Plugin {
  return {
    name: 'vfio-pci',
    contract: 1,
    needs: [Vfio, Drivers, Pci, IommuGroups, Interrupts, Cpus, Kernel],
    provides: [IoctlTable],
    setup: (host) => {
      host.provide(IoctlTable, PCI_TABLE)
      const drivers = host.get(Drivers)
      drivers.register(new VfioPciDriver(host))
      host.onReady(() => {
        for (const place of bind) bindNow(drivers, functionAt(host, place))
      })
    },
  }
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

  constructor(host: PluginHost) {
    this.#parts = {
      pci: host.get(Pci),
      groups: host.get(IommuGroups),
      vfio: host.get(Vfio),
      cpu: host.get(Cpus)[0],
      interrupts: host.get(Interrupts),
      pageBytes: host.get(Kernel).pageSize,
      deviceOf: (fn) => this.#devices.get(fn)?.device,
    }
  }

  probe(fn: PciFunction): void {
    const device = new VfioPciDevice(fn, this.#parts)
    device.power.set(0)
    const registration = this.#parts.vfio.add(device)
    this.#devices.set(fn, { device, registration })
    device.power.sleep()
  }
  remove(fn: PciFunction): Removal {
    const bound = this.#devices.get(fn)
    if (!bound) throw new Error(`vfio-pci does not have ${fn.name}`)
    const removal = bound.registration.remove()
    removal.onDone(() => {
      this.#devices.delete(fn)
      if (fn.present) bound.device.power.wake()
    })
    return removal
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
