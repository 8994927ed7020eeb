/** An opened function: enabled, with its configuration space, regions and interrupts. drivers/vfio/pci/vfio_pci_core.c vfio_pci_core_enable, _disable. */
import {
  type Caller,
  CAP,
  changeCommand,
  COMMAND,
  enabledDecoding,
  type Errno,
  HEADER,
  type Mapping,
  type MmapRequest,
  MSIX,
  type PciFunction,
  restoreState,
  type SavedState,
  saveState,
  UapiError,
  type VfioFeature,
  type VfioInfo,
  type VfioIrq,
  type VfioIrqRequest,
  type VfioRegion,
  type VfioSession,
} from '@ioasis/core'
import { VFIO_DEVICE_FLAGS, VFIO_PCI_IRQ, VFIO_PCI_REGION } from '@ioasis/uapi'
import { atomicCapability } from './atomics.ts'
import { BarWindow } from './bar-window.ts'
import { type PciFile, runDeviceCall } from './calls.ts'
import type { ConfigOwner, Resource } from './config/owner.ts'
import { UserConfigSpace } from './config/space.ts'
import { hasBrokenLine } from './denylist.ts'
import { DmaBufs } from './dma-buf.ts'
import { type FeatureOwner, features } from './features.ts'
import type { FunctionUser, HeldFunction } from './held-function.ts'
import { DeviceInterrupts } from './interrupts.ts'
import { IoEvents } from './io-event.ts'
import { type DescribedFunction, irqCount, irqInfo, regionInfo } from './info.ts'
import { type HiddenTable, Regions } from './regions.ts'
import { assigned, canMap, memoryRanges } from './resources.ts'
import { dword, word } from './config/words.ts'

/** Bits of a file offset below the region's index. */
const OFFSET_BITS = 40n
const OFFSET_MASK = (1n << OFFSET_BITS) - 1n

/** One opened function. */
export class PciSession implements VfioSession, ConfigOwner, FunctionUser, PciFile, FeatureOwner, DescribedFunction {
  readonly device: HeldFunction
  readonly config: UserConfigSpace
  readonly regions: Regions
  readonly interrupts: DeviceInterrupts
  readonly dmaBufs: DmaBufs
  readonly ioEvents: IoEvents
  readonly features: ReadonlyMap<number, VfioFeature>
  readonly msix: HiddenTable | undefined
  /** BARs that a program may map. */
  readonly mappable: ReadonlySet<number>
  readonly power: { wake(): void; idle(): void } = { wake: () => this.#wake(), idle: () => this.#idle() }
  /** A function reset works without touching others. */
  readonly resetWorks: boolean
  /** The user lets the device sleep until he touches it (LOW_POWER_ENTRY). */
  lowPower: { readonly wakeUp: (() => void) | undefined } | undefined
  readonly #saved: SavedState
  readonly #windows = new Map<number, BarWindow>()

  /** Enables the function. @throws UapiError when it cannot */
  constructor(device: HeldFunction) {
    this.device = device
    const { fn, parts } = device
    device.power.wake()
    changeCommand(fn, { clear: COMMAND.MASTER })
    changeCommand(fn, { set: enabledDecoding(fn) })
    this.resetWorks = device.tryReset() === undefined
    this.#saved = saveState(fn)
    const { nointxmask } = device.parameters
    const lineOff = !nointxmask && hasBrokenLine(fn)
    const maskable = !nointxmask && !lineOff && canMaskLine(fn)
    if (lineOff) changeCommand(fn, { set: COMMAND.INTX_DISABLE })
    if (maskable) changeCommand(fn, { clear: COMMAND.INTX_DISABLE })
    this.config = new UserConfigSpace(this, fn.config[0x3d] !== 0 && !lineOff, lineOff)
    this.msix = msixTable(this)
    this.mappable = mappableBars(this)
    const table = this.msix && { ...this.msix, hpa: startOf(this.resources, this.msix) }
    const { cpu, interrupts } = parts
    const memoryEnabled = (): boolean => this.memoryEnabled
    this.interrupts = new DeviceInterrupts({
      fn,
      interrupts,
      cpu,
      table,
      express: fn.capability(CAP.EXPRESS) !== 0,
      maskable,
      lineOff,
      allowMessages: (vectors) => parts.groups.deviceOf(fn)?.allowMessages?.(vectors),
      usedMsi: (order) => (device.msiOrder = order),
    })
    this.regions = new Regions({ fn, cpu, resources: this.resources, msix: this.msix, memoryEnabled })
    this.dmaBufs = new DmaBufs({ resources: this.resources, pageBytes: parts.pageBytes, memoryEnabled })
    this.ioEvents = new IoEvents({
      barBytes: (index) => assigned(this.resources, index)?.size ?? 0,
      isHidden: (index, first, end) =>
        this.msix !== undefined && index === this.msix.bar && first < this.msix.end && end > this.msix.first,
      write: (index, offset, from) => {
        if (this.memoryEnabled) this.regions.write(index, offset, from)
      },
    })
    this.features = features(this)
    // POWER: an endpoint that was frozen works for its new user (eeh_dev_open).
    parts.groups.deviceOf(fn)?.recovery?.changeOwner()
  }

  get fn(): PciFunction {
    return this.device.fn
  }
  get resources(): readonly Resource[] {
    return this.device.resources
  }
  get info(): VfioInfo {
    return {
      flags: VFIO_DEVICE_FLAGS.PCI | (this.resetWorks ? VFIO_DEVICE_FLAGS.RESET : 0),
      regions: VFIO_PCI_REGION.COUNT,
      irqs: VFIO_PCI_IRQ.COUNT,
      capabilities: atomicCapability(this.fn),
    }
  }
  regionInfo(index: number): VfioRegion {
    return regionInfo(this, index)
  }
  irqInfo(index: number): VfioIrq {
    return irqInfo(this, index)
  }
  irqCount(index: number): number {
    return irqCount(this, index)
  }
  setIrqs(caller: Caller, request: VfioIrqRequest): void {
    this.interrupts.set(caller, request)
  }

  read(_caller: Caller, offset: bigint, into: Uint8Array): number {
    if (into.length === 0) return 0
    return this.#awake(offset, (index, at) => {
      if (index === VFIO_PCI_REGION.CONFIG) {
        this.config.read(at, into)
        return into.length
      }
      return index === VFIO_PCI_REGION.VGA ? this.#vga().readVga(at, into) : this.regions.read(index, at, into)
    })
  }
  write(_caller: Caller, offset: bigint, from: Uint8Array): number {
    if (from.length === 0) return 0
    return this.#awake(offset, (index, at) => {
      if (index === VFIO_PCI_REGION.ROM) throw new UapiError('EINVAL', 'vfio_pci_rw', { region: index })
      if (index === VFIO_PCI_REGION.CONFIG) {
        this.config.write(at, from)
        return from.length
      }
      return index === VFIO_PCI_REGION.VGA ? this.#vga().writeVga(at, from) : this.regions.write(index, at, from)
    })
  }
  mmap(_caller: Caller, { offset, bytes, shared }: MmapRequest): Mapping {
    const index = Number(offset >> OFFSET_BITS)
    const at = offset & OFFSET_MASK
    const bar = index < VFIO_PCI_REGION.ROM ? assigned(this.resources, index) : undefined
    const page = BigInt(this.device.parts.pageBytes)
    if (!shared || !bar || !this.mappable.has(index) || at + bytes > ((BigInt(bar.size) + page - 1n) / page) * page)
      throw new UapiError('EINVAL', 'vfio_pci_core_mmap', { offset, bytes })
    let window = this.#windows.get(index)
    if (!window) this.#windows.set(index, (window = new BarWindow(this.device.parts.cpu, bar, !this.#reachable)))
    return { kind: 'window', window, offset: Number(at) }
  }
  ioctl(caller: Caller, number: number, arg: bigint): number {
    return runDeviceCall(this, caller, number, arg)
  }
  /** VFIO_DEVICE_RESET. @throws UapiError EINVAL when the function could not be reset alone at first, ENOTTY when it cannot any more */
  reset(): void {
    if (!this.resetWorks) throw new UapiError('EINVAL', 'VFIO_DEVICE_RESET', { function: this.fn.name })
    let failed: Errno | undefined
    this.memoryOff(() => {
      this.device.power.set(0)
      failed = this.resetFunction()
    })
    this.memoryOn()
    if (failed) throw new UapiError(failed, 'VFIO_DEVICE_RESET', { function: this.fn.name })
  }
  request(_count: number): void {
    this.interrupts.tell(VFIO_PCI_IRQ.REQ)
  }

  close(): void {
    const { fn, device } = this
    device.parts.groups.deviceOf(fn)?.recovery?.changeOwner()
    this.dmaBufs.close()
    this.#wake()
    this.lowPower = undefined
    device.power.set(0)
    changeCommand(fn, { clear: COMMAND.MASTER })
    this.interrupts.close()
    this.ioEvents.close()
    for (const window of this.#windows.values()) window.revoke(true)
    changeCommand(fn, { clear: 0xffff, set: COMMAND.INTX_DISABLE })
    device.needsReset = !(this.resetWorks && device.runReset())
    restoreState(fn, this.#saved)
    changeCommand(fn, { clear: COMMAND.MASTER })
    device.closed()
    device.power.idle()
  }

  // What configuration writes ask for.
  get msiOrder(): number {
    return this.device.msiOrder
  }
  get usesMsi(): boolean {
    return this.interrupts.usesMsi
  }
  get memoryEnabled(): boolean {
    // A virtual function's memory follows the physical one.
    if (this.device.power.state === 3) return false
    return this.fn.virtfn !== undefined || (this.config.command & COMMAND.MEMORY) !== 0
  }
  memoryOff(change: () => void): void {
    this.#revoke(true)
    change()
  }
  memoryOn(): void {
    this.#revoke(!this.#reachable)
  }
  setPowerState(state: 0 | 1 | 2 | 3): void {
    if (state === 3) this.memoryOff(() => this.device.power.set(state))
    else this.device.power.set(state)
    this.memoryOn()
  }
  resetFunction(): Errno | undefined {
    const failed = this.device.tryReset()
    this.interrupts.restore()
    return failed
  }
  hideIntx(hidden: boolean): void {
    this.interrupts.hideIntx(hidden)
  }

  get #reachable(): boolean {
    return this.memoryEnabled && !this.lowPower
  }
  #revoke(revoked: boolean): void {
    for (const window of this.#windows.values()) window.revoke(revoked)
    this.dmaBufs.revoke(revoked)
  }
  #wake(): void {
    if (!this.device.power.sleeps) return
    this.device.power.wake()
    this.interrupts.restore()
    const woken = this.lowPower?.wakeUp
    if (!woken) return
    woken()
    this.lowPower = undefined
  }
  #idle(): void {
    if (this.lowPower) this.device.power.sleep()
  }
  #awake(offset: bigint, run: (index: number, at: number) => number): number {
    const index = Number(offset >> OFFSET_BITS)
    if (index >= VFIO_PCI_REGION.COUNT) throw new UapiError('EINVAL', 'vfio_pci_rw', { offset })
    this.#wake()
    try {
      return run(index, Number(offset & OFFSET_MASK))
    } finally {
      this.#idle()
    }
  }
  #vga(): Regions {
    if (!this.device.isVga) throw new UapiError('EINVAL', 'vfio_pci_vga_rw', { function: this.fn.name })
    return this.regions
  }
}

/** Interrupt Disable can be written (pci_intx_mask_supported). */
const canMaskLine = (fn: PciFunction): boolean => (fn.writableConfig(HEADER.COMMAND, 2) & COMMAND.INTX_DISABLE) !== 0

function mappableBars({ resources, device: { parts } }: PciSession): ReadonlySet<number> {
  const others = memoryRanges(parts.pci.functions)
  return new Set(resources.filter((bar) => canMap(bar, parts.pageBytes, others)).map(({ index }) => index))
}
function msixTable({ fn }: PciSession): HiddenTable | undefined {
  const at = fn.capability(CAP.MSIX)
  if (!at) return undefined
  const entries = (word(fn.config, at + MSIX.FLAGS) & MSIX.SIZE) + 1
  const place = dword(fn.config, at + MSIX.TABLE)
  const first = (place & ~MSIX.BIR) >>> 0
  return { bar: place & MSIX.BIR, first, end: first + entries * MSIX.ENTRY_BYTES }
}
const startOf = (resources: readonly Resource[], { bar, first }: HiddenTable): number =>
  (assigned(resources, bar)?.start ?? 0) + first
