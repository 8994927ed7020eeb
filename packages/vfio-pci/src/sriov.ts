/** Virtual functions of a physical one that the driver has. drivers/vfio/pci/vfio_pci_core.c vfio_pci_core_sriov_configure, vfio_pci_vf_init. */
import { type DriverCore, type PciFunction, type PciTopology, type Removal, REMOVED, UapiError } from '@ioasis/core'
import type { Power } from './power.ts'

/** What it needs. */
export interface VirtualParts {
  readonly fn: PciFunction
  readonly power: Power
  readonly pci: PciTopology
  readonly drivers: DriverCore
  /** Virtual functions are gone: the device may sleep again, if nobody uses it. */
  released(): void
}

/** The virtual functions of one device while the driver has it. */
export class VirtualFunctionSwitch {
  readonly #parts: VirtualParts
  readonly #stop: () => void
  #on = false

  /** From now on new virtual functions are kept for this driver. */
  constructor(parts: VirtualParts) {
    this.#parts = parts
    this.#stop = parts.pci.onAnnounced((fn) => {
      if (fn.virtfn?.physfn === parts.fn) parts.drivers.setOverride(fn, 'vfio-pci')
    })
  }

  /** This driver switched them on: their users must show the token. */
  get on(): boolean {
    return this.#on
  }
  /** @throws UapiError EINVAL when it did already, and what the kernel's PCI core answers */
  enable(count: number): void {
    const { fn, power } = this.#parts
    if (this.#on || !fn.sriov) throw new UapiError('EINVAL', 'vfio_pci_core_sriov_configure', { function: fn.name })
    this.#on = true
    power.pinned = true
    try {
      fn.sriov.enable(count)
    } catch (error) {
      this.#release()
      throw error
    }
  }
  /** @returns pending while virtual functions are used */
  disable(): Removal {
    const { fn, drivers } = this.#parts
    if (!fn.sriov || fn.sriov.numVfs === 0) return REMOVED
    const removal = fn.sriov.disable((virtfn) => drivers.unplug(virtfn))
    removal.onDone(() => this.#release())
    return removal
  }
  /** The driver gives the device back. */
  close(): void {
    this.#stop()
  }

  #release(): void {
    if (!this.#on) return
    this.#on = false
    this.#parts.power.pinned = false
    this.#parts.released()
  }
}
