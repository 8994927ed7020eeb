/**
 * What the kernel keeps of a physical function, and how it switches virtual ones on and off. Follows sriov_init(),
 * sriov_enable(), sriov_disable() and sriov_restore_state() of drivers/pci/iov.c.
 */
import { busOf } from '../address.ts'
import { Completion, type Removal, REMOVED } from '../driver/completion.ts'
import { type Errno, UapiError } from '../errno.ts'
import { portType } from './capability-chain.ts'
import type { Bar, PciFunction, SriovSwitch } from './function.ts'
import { PORT, SRIOV } from './header.ts'
import type { VirtualPort } from './virtual-port.ts'

/** What it asks of the buses. */
export interface VirtualBus {
  /** Puts virtual function `index` onto its bus. @throws Error when its place is taken */
  addVirtual(physfn: PciFunction, bdf: number, index: number): PciFunction
  /** Takes one off its bus. */
  drop(virtfn: PciFunction): void
  /** The function at a device and function number of the same bus. */
  neighbour(fn: PciFunction, devfn: number): PciFunction | undefined
  /** Last bus number that reaches this function's bus: of the bridge above, 255 without. */
  lastBus(fn: PciFunction): number
  /** Bridges above forward function numbers beyond 7 (ARI Forwarding Enable). */
  ariForwarded(fn: PciFunction): boolean
  /** Whether another function on its bus has SR-IOV: that one's ARI setting counts. */
  hasEarlierPhysical(fn: PciFunction): boolean
}

/** SR-IOV of one physical function. */
export class Sriov implements SriovSwitch {
  readonly fn: PciFunction
  readonly at: number
  readonly totalVfs: number
  readonly vfDevice: number
  readonly bars: readonly Omit<Bar, 'window'>[]
  driversAutoprobe = true
  readonly #bus: VirtualBus
  readonly #port: VirtualPort
  #numVfs = 0
  #control: number
  #pages = 1
  #virtfns: readonly PciFunction[] = []
  #bases: readonly number[] = []
  #ending: Completion | undefined

  /** Takes the capability as firmware left it: virtual functions off, pages of 4 KiB, ARI as the bus has it. */
  constructor(fn: PciFunction, port: VirtualPort, bus: VirtualBus) {
    this.fn = fn
    this.at = port.at
    this.#bus = bus
    this.bars = port.bars
    this.#port = port
    this.#control = !bus.hasEarlierPhysical(fn) && bus.ariForwarded(fn) ? SRIOV.ARI : 0
    this.#write(SRIOV.CONTROL, 2, this.#control)
    const supported = this.#read(SRIOV.SUPPORTED_PAGES, 4)
    this.#pages = (supported & -supported) >>> 0
    this.#write(SRIOV.SYSTEM_PAGES, 4, this.#pages)
    this.#write(SRIOV.NUM_VFS, 2, 0)
    this.totalVfs = this.#read(SRIOV.TOTAL_VFS, 2)
    this.vfDevice = this.#read(SRIOV.VF_DEVICE, 2)
  }

  get numVfs(): number {
    return this.#numVfs
  }
  get offset(): number {
    return this.#read(SRIOV.FIRST_OFFSET, 2)
  }
  get stride(): number {
    return this.#read(SRIOV.STRIDE, 2)
  }
  get virtfns(): readonly PciFunction[] {
    return this.#virtfns
  }
  base(bar: Omit<Bar, 'window'>): number {
    return this.#port.base(bar)
  }

  enable(count: number): void {
    const refuse = (errno: Errno): UapiError =>
      new UapiError(errno, 'pci_enable_sriov', { function: this.fn.name, count })
    if (count === 0) return
    if (this.#numVfs > 0) throw refuse('EINVAL')
    const initial = this.#read(SRIOV.INITIAL_VFS, 2)
    const migrates = (this.#read(SRIOV.CAPABILITIES, 4) & SRIOV.VFM) !== 0
    if (initial > this.totalVfs || (!migrates && initial !== this.totalVfs)) throw refuse('EIO')
    if (count > this.totalVfs || (!migrates && count > initial)) throw refuse('EINVAL')
    if (this.bars.some((bar) => this.base(bar) === 0)) throw refuse('ENOMEM')
    if (busOf(this.#place(count - 1)) > this.#bus.lastBus(this.fn)) throw refuse('ENOMEM')
    const leader = this.#bus.neighbour(this.fn, this.#dependency)
    if (!leader) throw refuse('ENODEV')
    if (!leader.sriov) throw refuse('ENOSYS')
    this.#write(SRIOV.NUM_VFS, 2, count)
    this.#setControl(this.#control | SRIOV.VFE | SRIOV.MSE)
    try {
      for (let i = 0; i < Math.min(count, initial); i++) this.#add(i, refuse('EIO'))
    } catch (error) {
      for (const virtfn of this.#virtfns.toReversed()) this.#bus.drop(virtfn)
      this.#off()
      throw error
    }
    this.#numVfs = count
  }

  disable(unplug: (virtfn: PciFunction) => Removal): Removal {
    if (this.#ending) return this.#ending
    if (this.#numVfs === 0) return REMOVED
    const ending = (this.#ending = new Completion())
    const next = (): void => {
      const [first] = this.#virtfns
      if (first) return unplug(first).onDone(next)
      this.#off()
      this.#numVfs = 0
      this.#ending = undefined
      ending.finish()
    }
    next()
    return ending
  }

  remember(): void {
    this.#bases = this.bars.map((bar) => this.base(bar))
  }
  restore(): void {
    if (this.#port.enabled) return
    this.#write(SRIOV.CONTROL, 2, (this.#read(SRIOV.CONTROL, 2) & ~SRIOV.ARI) | (this.#control & SRIOV.ARI))
    this.bars.forEach(({ index, wide }, i) => {
      const base = this.#bases[i] as number
      this.#write(SRIOV.BAR0 + 4 * index, 4, base >>> 0)
      if (wide) this.#write(SRIOV.BAR0 + 4 * index + 4, 4, Math.floor(base / 2 ** 32))
    })
    this.#write(SRIOV.SYSTEM_PAGES, 4, this.#pages)
    this.#write(SRIOV.NUM_VFS, 2, this.#numVfs)
    this.#write(SRIOV.CONTROL, 2, this.#control)
  }
  /** A virtual function left its bus. */
  left(virtfn: PciFunction): void {
    this.#virtfns = this.#virtfns.filter((other) => other !== virtfn)
  }

  /** Function Dependency Link: a function number of its device inside the root complex, else a device and function number. */
  get #dependency(): number {
    const link = this.#read(SRIOV.LINK, 2) & 0xff
    return portType(this.fn.config) === PORT.RC_ENDPOINT ? (this.fn.bdf & 0xf8) | link : link
  }
  #place(index: number): number {
    return this.fn.bdf + this.offset + this.stride * index
  }
  #add(index: number, silent: UapiError): void {
    // Nothing answers there: its header reads ones (pci_setup_device).
    if (!this.fn.model.virtualFunctions) throw silent
    this.#bus.addVirtual(this.fn, this.#place(index), index)
  }
  /** It stands on its bus; drivers are not tried yet. */
  joined(virtfn: PciFunction): void {
    this.#virtfns = [...this.#virtfns, virtfn]
  }
  #off(): void {
    this.#setControl(this.#control & ~(SRIOV.VFE | SRIOV.MSE))
    this.#write(SRIOV.NUM_VFS, 2, 0)
  }
  #setControl(control: number): void {
    this.#control = control
    this.#write(SRIOV.CONTROL, 2, control)
  }
  #read(field: number, size: 2 | 4): number {
    return this.fn.readConfig(this.at + field, size)
  }
  #write(field: number, size: 2 | 4, value: number): void {
    this.fn.writeConfig(this.at + field, size, value >>> 0)
  }
}
