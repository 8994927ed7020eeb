/** A device model placed on a bus: its registers decide where it answers, whether it masters the bus and how it signals. */
import type { Bdf } from '../address.ts'
import { formatBdf } from '../address.ts'
import { type DmaFabric, MSI_WINDOW } from '../dma/fabric.ts'
import type { Interrupts } from '../dma/interrupt.ts'
import type { DmaPort } from '../dma/port.ts'
import type { AccessSize } from '../memory/backing.ts'
import type { HostMemory } from '../memory/host-memory.ts'
import type { Trace } from '../trace.ts'
import { BarDecoder } from './bar-decoder.ts'
import { bridgeInfo, forwardsMemory } from './bridge.ts'
import { word } from './capability-chain.ts'
import { allOnes, barValue, ConfigSpace, type ConfigSize } from './config-space.ts'
import type { Bar, BridgeInfo, FunctionModel, PciFunction, ResetKind, VirtualPlace } from './function.ts'
import { RegisterInterrupts } from './function-interrupts.ts'
import { AF, BRIDGE, BRIDGE_CONTROL, CAP, COMMAND, EXPRESS, EXT_CAP, HEADER, PM, PORT } from './header.ts'
import type { PciQuirk } from './function.ts'
import type { Sriov } from './sriov.ts'
import { VirtualPort } from './virtual-port.ts'

/** Where a function stands and what it is connected to. */
export interface Placement {
  readonly segment: number
  readonly bdf: Bdf
  readonly parent: PlacedFunction | undefined
  /** The id its requests carry at the unit. */
  readonly requester: Bdf
  readonly memory: HostMemory
  readonly bus: DmaFabric
  readonly trace: Trace
  readonly interrupts?: Interrupts | undefined
  readonly quirks: readonly PciQuirk[]
  /** A virtual function: whose, and which. */
  readonly virtfn?: { readonly physfn: PlacedFunction; readonly index: number } | undefined
}

/** Legacy VGA memory. */
const VGA_MEMORY = { first: 0xa_0000, bytes: 0x2_0000 } as const

/** The implementation of `PciFunction`; made by `PciTopology.place`. */
export class PlacedFunction implements PciFunction {
  readonly model: FunctionModel
  readonly segment: number
  readonly bdf: Bdf
  readonly parent: PlacedFunction | undefined
  readonly name: string
  readonly bridge?: BridgeInfo
  readonly virtfn?: VirtualPlace
  /** Registers that its virtual functions follow; absent: it has no SR-IOV capability. */
  readonly virtualPort?: VirtualPort
  sriov?: Sriov
  romShadow?: { readonly first: number; readonly bytes: number }
  readonly dma: DmaPort
  readonly requester: Bdf
  readonly bars: readonly Bar[]
  readonly interrupts: RegisterInterrupts
  readonly quirks: readonly PciQuirk[]
  /** Functions on the buses directly behind this bridge. */
  readonly children: PlacedFunction[] = []
  /** Virtual functions of this one, as far as the kernel added them. */
  readonly virtfns: PlacedFunction[] = []
  readonly #space: ConfigSpace
  readonly #decoder: BarDecoder
  readonly #bus: DmaFabric
  readonly #trace: Trace
  readonly #physfn: PlacedFunction | undefined
  readonly #forgetVga: (() => void) | undefined
  #present = true

  constructor(model: FunctionModel, at: Placement) {
    this.model = model
    this.segment = at.segment
    this.bdf = at.bdf
    this.parent = at.parent
    this.name = formatBdf(at.bdf, at.segment)
    this.requester = at.requester
    this.quirks = at.quirks
    this.bars = model.bars
    this.#bus = at.bus
    this.#trace = at.trace
    this.#space = new ConfigSpace(model, at.virtfn !== undefined)
    const bridge = bridgeInfo(this.#space.bytes)
    if (bridge) this.bridge = bridge
    this.#physfn = at.virtfn?.physfn
    if (at.virtfn) this.virtfn = at.virtfn
    const sriov = this.extendedCapability(EXT_CAP.SRIOV)
    if (sriov) this.virtualPort = new VirtualPort(this.config, sriov, model.virtualFunctions?.bars ?? [])
    const { vga } = model
    this.#forgetVga = vga && at.memory.addMmio(VGA_MEMORY.first, VGA_MEMORY.bytes, vga.memory, `${this.name} VGA`)
    this.dma = at.bus.port(at.segment, at.requester)
    this.interrupts = new RegisterInterrupts({
      config: this.#space,
      dma: this.dma,
      messageAddress: () => at.bus.unitOf(at.segment, at.requester)?.msi?.address ?? BigInt(MSI_WINDOW.first),
      ...this.#lineTo(at.interrupts),
    })
    this.#decoder = new BarDecoder({
      memory: at.memory,
      bytes: this.#space.bytes,
      bars: model.bars,
      name: this.name,
      given: (bar) => this.#given(bar),
      window: (bar) => this.interrupts.overlay(bar.index, bar.window),
      reaches: (first, last) => this.#decodes && (this.parent?.passesDown(first, last) ?? true),
    })
  }

  get config(): Uint8Array {
    return this.#space.bytes
  }
  get present(): boolean {
    return this.#present
  }
  get powerState(): 0 | 1 | 2 | 3 {
    const pm = this.capability(CAP.PM)
    return (pm ? word(this.config, pm + PM.CONTROL) & PM.STATE : 0) as 0 | 1 | 2 | 3
  }
  get noSnoopEnabled(): boolean {
    const express = this.capability(CAP.EXPRESS)
    return express !== 0 && (word(this.config, express + EXPRESS.DEVCTL) & EXPRESS.DEVCTL_NO_SNOOP) !== 0
  }

  capability(id: number): number {
    return this.#space.capability(id)
  }
  extendedCapability(id: number): number {
    return this.#space.extendedCapability(id)
  }

  readConfig(offset: number, size: ConfigSize): number {
    if (!this.#reachable) return allOnes(size)
    return this.#space.read(offset, size)
  }

  writeConfig(offset: number, size: ConfigSize, value: number): void {
    if (!this.#reachable) return
    const state = this.powerState
    const inReset = this.#holdsReset
    const hadVirtual = this.virtualPort?.enabled
    this.#space.write(offset, size, value)
    this.#refusePowerState(state)
    if (this.#takeFlr()) this.reset('flr')
    else if (state === 3 && this.powerState === 0 && !this.#softResetless) this.reset('pm')
    else this.update()
    if (hadVirtual && !this.virtualPort?.enabled) this.#resetVirtual('flr')
    if (!inReset && this.#holdsReset) this.resetBehind('bus')
    this.model.configWritten?.(offset, size)
  }

  writableConfig(offset: number, size: ConfigSize): number {
    return this.#space.writable(offset, size)
  }

  barAddress(index: number): number | undefined {
    const bar = this.#bar(index)
    if (!bar) return undefined
    if (bar.space !== 'io') return this.#decoder.address(bar)
    return this.#ioDecoded(bar) ? this.#given(bar) : undefined
  }
  barRegister(index: number): number {
    const bar = this.#bar(index)
    if (!bar) throw new RangeError(`${this.name} has no BAR ${index}`)
    return this.#given(bar)
  }
  isolate(on: boolean): void {
    this.#decoder.isolate(on)
  }
  ioLoad(index: number, offset: number, size: AccessSize): bigint {
    const bar = this.#bar(index)
    if (bar?.space !== 'io' || !this.#ioDecoded(bar) || this.#decoder.isolated) return (1n << BigInt(8 * size)) - 1n
    return bar.window?.load(offset, size) ?? 0n
  }
  ioStore(index: number, offset: number, size: AccessSize, value: bigint): void {
    const bar = this.#bar(index)
    if (bar?.space === 'io' && this.#ioDecoded(bar) && !this.#decoder.isolated) bar.window?.store(offset, size, value)
  }

  portLoad(port: number, size: AccessSize): bigint {
    const answers = this.#present && !this.#decoder.isolated
    return (answers ? this.model.vga?.ports.load(port, size) : undefined) ?? (1n << BigInt(8 * size)) - 1n
  }
  portStore(port: number, size: AccessSize, value: bigint): void {
    if (this.#present && !this.#decoder.isolated) this.model.vga?.ports.store(port, size, value)
  }

  reset(how: ResetKind = 'flr'): void {
    this.#trace.emit('reset', { bdf: this.bdf, how })
    this.#space.reset(how === 'flr')
    this.dma.request.noSnoop = false
    this.interrupts.reset()
    this.model.reset?.()
    this.update()
    // A reset of the bus reaches them as it reaches this one.
    if (how === 'flr' || how === 'pm') this.#resetVirtual(how)
  }
  /** Resets everything behind this bridge. */
  resetBehind(how: ResetKind): void {
    for (const child of this.children) {
      child.reset(how)
      child.resetBehind(how)
    }
  }

  /** Makes decoding, mastering and signalling follow the registers, here and behind a bridge. */
  update(): void {
    const awake = this.#present && this.powerState === 0
    this.dma.enabled = awake && (word(this.config, HEADER.COMMAND) & COMMAND.MASTER) !== 0
    if (!this.noSnoopEnabled) this.dma.request.noSnoop = false
    this.interrupts.mute(!awake)
    this.#decoder.update()
    for (const child of this.children) child.update()
    for (const virtfn of this.virtfns) virtfn.update()
  }
  /** Whether this bridge and those above it pass an access to [first, last] on. Forwarding upstream is not gated: QEMU's bridges do not either. */
  passesDown(first: number, last: number): boolean {
    if (!this.#present || this.powerState !== 0 || this.#holdsReset) return false
    return forwardsMemory(this.config, first, last) && (this.parent?.passesDown(first, last) ?? true)
  }
  /** Memory ranges it answers now. */
  get decoded(): BarDecoder['ranges'] {
    return this.#decoder.ranges
  }
  /** Where a memory BAR would answer as its registers stand. */
  wants(bar: Bar): number | undefined {
    return this.#decoder.wants(bar)
  }

  /** Takes it off the bus; called by the topology. */
  detach(): void {
    this.interrupts.setIntx(false)
    this.#present = false
    this.#decoder.removeAll()
    this.#forgetVga?.()
    this.#bus.drop(this.dma)
    this.model.removed?.()
  }

  #bar(index: number): Bar | undefined {
    return this.bars.find((bar) => bar.index === index)
  }
  get #decodes(): boolean {
    if (!this.#present || this.powerState !== 0) return false
    if (this.virtfn) return this.#exists && this.#physfn?.virtualPort?.decodes === true
    return (word(this.config, HEADER.COMMAND) & COMMAND.MEMORY) !== 0
  }
  /** A virtual function answers while its physical one is awake and has it enabled. */
  get #exists(): boolean {
    if (!this.virtfn) return true
    const physfn = this.#physfn as PlacedFunction
    return physfn.#reachable && physfn.powerState === 0 && this.virtfn.index < (physfn.virtualPort?.count ?? 0)
  }
  #given(bar: Bar): number {
    if (!this.virtfn) return barValue(this.config, bar)
    return this.#physfn?.virtualPort?.address(bar, this.virtfn.index) ?? 0
  }
  #resetVirtual(how: ResetKind): void {
    for (const virtfn of this.virtfns) virtfn.reset(how)
  }
  #ioDecoded(bar: Bar): boolean {
    const on = this.#present && this.powerState === 0 && (word(this.config, HEADER.COMMAND) & COMMAND.IO) !== 0
    return on && this.#given(bar) !== 0
  }
  /** Configuration cycles arrive: it is there, and no bridge above holds its secondary bus in reset. */
  get #reachable(): boolean {
    for (let above = this.parent; above; above = above.parent) if (above.#holdsReset) return false
    return this.#present && this.#exists
  }
  get #holdsReset(): boolean {
    return this.bridge !== undefined && (word(this.config, BRIDGE.CONTROL) & BRIDGE_CONTROL.BUS_RESET) !== 0
  }
  get #softResetless(): boolean {
    const pm = this.capability(CAP.PM)
    return (word(this.config, pm + PM.CONTROL) & PM.NO_SOFT_RESET) !== 0
  }
  /** A write of a power state the function does not have leaves the old one. */
  #refusePowerState(old: number): void {
    const pm = this.capability(CAP.PM)
    if (!pm) return
    const can = word(this.config, pm + PM.CAPABILITIES)
    const state = this.powerState
    const missing = (state === 1 && !(can & PM.D1_SUPPORT)) || (state === 2 && !(can & PM.D2_SUPPORT))
    if (missing) this.config[pm + PM.CONTROL] = ((this.config[pm + PM.CONTROL] as number) & ~PM.STATE) | old
  }
  /** Takes the bit that starts a function level reset, which always reads as 0. @returns whether it was set */
  #takeFlr(): boolean {
    const { config } = this
    const express = this.capability(CAP.EXPRESS)
    const type = express ? (word(config, express + EXPRESS.FLAGS) >>> 4) & 0xf : undefined
    const at = express + EXPRESS.DEVCTL + 1
    if (express && type !== PORT.PCIE_TO_PCI && (config[at] as number) & (EXPRESS.DEVCTL_FLR >>> 8)) {
      config[at] = (config[at] as number) & ~(EXPRESS.DEVCTL_FLR >>> 8)
      return true
    }
    const af = this.capability(CAP.AF)
    if (!af || !((config[af + AF.CONTROL] as number) & AF.FLR)) return false
    config[af + AF.CONTROL] = (config[af + AF.CONTROL] as number) & ~AF.FLR
    return true
  }
  #lineTo(interrupts: Interrupts | undefined): { setLine?: (asserted: boolean) => void } {
    const pin = this.config[HEADER.INTERRUPT_PIN] as number
    if (!interrupts || pin < 1 || pin > 4) return {}
    const source = { segment: this.segment, bdf: this.bdf, pin: pin as 1 | 2 | 3 | 4 }
    return { setLine: (asserted) => interrupts.setLine(source, asserted) }
  }
}
