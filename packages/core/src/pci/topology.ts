/** The PCI buses of a host: who stands where, who comes and goes, who answers a configuration cycle. */
import { type Bdf, busOf, formatBdf, hex, parseBdf } from '../address.ts'
import type { DmaFabric } from '../dma/fabric.ts'
import type { Interrupts } from '../dma/interrupt.ts'
import type { HostMemory } from '../memory/host-memory.ts'
import { CompositionError } from '../plugin/plugin.ts'
import { type Token, token } from '../plugin/token.ts'
import type { Trace } from '../trace.ts'
import { requesterBehind } from './aliases.ts'
import { bridgeInfo, forwardsAri } from './bridge.ts'
import { findCapability, word } from './capability-chain.ts'
import { allOnes, barValue, type ConfigSize } from './config-space.ts'
import type { Bar, FunctionModel, PciFunction } from './function.ts'
import { CAP, HEADER, SRIOV } from './header.ts'
import { PlacedFunction } from './pci-function.ts'
import { FunctionResets } from './resets.ts'
import type { PciQuirk } from './function.ts'
import { Sriov, type VirtualBus } from './sriov.ts'
import { barOffset, isBridge } from './write-masks.ts'

/** Where a model is to stand. */
export interface PlaceOptions {
  /** Default 0. */
  readonly segment?: number
  readonly bdf: Bdf
  /** The bridge it stands behind, when the author wants that checked; the bus number decides. */
  readonly parent?: PciFunction
}
type Listener = (fn: PciFunction) => void

/** The functions of one host, on any number of segments. Bus 0 of each segment is a root bus; others are added. */
export class PciTopology {
  readonly #memory: HostMemory
  readonly #bus: DmaFabric
  readonly #trace: Trace
  readonly #interrupts: Interrupts | undefined
  readonly #quirks: PciQuirk[] = []
  readonly #roots = new Set<number>()
  readonly #at = new Map<number, PlacedFunction>()
  /** Replaced, never changed: listeners may come and go while one is called. */
  /** How each function can be reset. */
  readonly resets: FunctionResets = new FunctionResets((fn) => (fn as PlacedFunction).children)
  #announced: readonly Listener[] = []
  #added: readonly Listener[] = []
  #removed: readonly Listener[] = []
  #functions: readonly PlacedFunction[] | undefined

  /** @param interrupts where INTx lines end; without it a line is known to its function alone */
  constructor(memory: HostMemory, bus: DmaFabric, trace: Trace, interrupts?: Interrupts) {
    this.#memory = memory
    this.#bus = bus
    this.#trace = trace
    this.#interrupts = interrupts
  }

  /** Adds knowledge about functions, present and future. Groups already made do not change. */
  addQuirk(quirk: PciQuirk): void {
    this.#quirks.push(quirk)
  }
  /** Declares a further root bus: no bridge leads to it. */
  addRootBus(segment: number, bus: number): void {
    this.#roots.add(key(segment, bus << 8))
  }

  /**
   * Puts a model on a bus. Bridges first: the bus it names must be a root bus or a bridge's secondary bus.
   * @throws CompositionError one line: the bdf, the value, the rule. Nothing has changed then
   */
  place(model: FunctionModel, options: PlaceOptions): PciFunction {
    return this.#place(model, options)
  }
  #place(model: FunctionModel, { segment = 0, bdf, parent }: PlaceOptions, virtfn?: Virtual): PciFunction {
    const where = `${formatBdf(bdf, segment)} "${model.name}"`
    const standing = this.#at.get(key(segment, bdf))
    if (standing) throw new CompositionError(`${where}: "${standing.model.name}" stands there already`)
    checkModel(where, model)
    const above = virtfn ? virtfn.physfn.parent : this.#bridgeTo(segment, bdf, where)
    if (parent && parent !== above) {
      throw new CompositionError(
        `${where}: bus ${hex(busOf(bdf))} is not behind ${parent.name}; its secondary bus is ${hex(parent.bridge?.secondary ?? 0)}`,
      )
    }
    this.#checkBuses(segment, model, where)
    const fn = new PlacedFunction(model, {
      segment,
      bdf,
      parent: above,
      requester: requesterBehind(bdf, above),
      memory: this.#memory,
      bus: this.#bus,
      trace: this.#trace,
      interrupts: this.#interrupts,
      quirks: this.#quirks,
      virtfn,
    })
    this.#checkDecoding(fn, where)
    this.#join(fn)
    return fn
  }

  /** Takes a function out, and everything behind it first. What its drivers held is theirs to give up: see `DriverCore.unplug`. @throws Error when it is not on its bus */
  remove(fn: PciFunction): void {
    const placed = this.#at.get(key(fn.segment, fn.bdf))
    if (!placed || placed !== fn) throw new Error(`${fn.name} is not on its bus`)
    for (const virtfn of placed.virtfns.toReversed()) this.remove(virtfn)
    for (const child of placed.children.toReversed()) this.remove(child)
    placed.detach()
    this.#at.delete(key(fn.segment, fn.bdf))
    this.#functions = undefined
    const siblings = placed.parent?.children
    siblings?.splice(siblings.indexOf(placed), 1)
    const physfn = placed.virtfn?.physfn as PlacedFunction | undefined
    physfn?.virtfns.splice(physfn.virtfns.indexOf(placed), 1)
    physfn?.sriov?.left(placed)
    for (const listener of this.#removed) listener(placed)
    this.#trace.emit('removed', { segment: fn.segment, bdf: fn.bdf })
  }

  /** The machine is switched off: every function leaves its bus, and nothing it sends arrives any more. Nobody is told. */
  close(): void {
    for (const fn of this.#at.values()) fn.detach()
    this.#at.clear()
    this.#functions = undefined
  }

  /** Every function in the order Linux lists them: a bus's functions by device and function, then each bridge's buses. */
  get functions(): readonly PciFunction[] {
    return (this.#functions ??= this.#inOrder())
  }
  /** @returns the function there, or undefined */
  at(segment: number, bdf: Bdf): PciFunction | undefined {
    return this.#at.get(key(segment, bdf))
  }
  /** @returns the function at `00:02.0` or `0001:00:02.0`; @throws RangeError when nobody stands there */
  get(place: string): PciFunction {
    const where = parseBdf(place)
    const fn = where && this.at(where.segment, where.bdf)
    if (!fn) throw new RangeError(`${place}: ${where ? 'no function stands there' : 'not a place such as 00:02.0'}`)
    return fn
  }
  /** Functions directly behind a bridge, in the order of their bdf. */
  children(fn: PciFunction): readonly PciFunction[] {
    return [...((fn as PlacedFunction).children ?? [])]
  }

  /** A configuration read: all ones where nobody answers. */
  readConfig(segment: number, bdf: Bdf, offset: number, size: ConfigSize): number {
    return this.at(segment, bdf)?.readConfig(offset, size) ?? allOnes(size)
  }
  /** A configuration write: lost where nobody answers. */
  writeConfig(segment: number, bdf: Bdf, offset: number, size: ConfigSize, value: number): void {
    this.at(segment, bdf)?.writeConfig(offset, size, value)
  }

  /**
   * The machine boots: the first display that decodes legacy addresses is the boot display. Its ROM is where PC firmware copies
   * it (arch/x86/pci/fixup.c pci_fixup_video, drivers/pci/vgaarb.c vga_is_boot_device).
   */
  findBootDisplay(): PciFunction | undefined {
    const display = this.functions.find(({ config }) => isBootDisplay(config))
    if (display) (display as PlacedFunction).romShadow = ROM_SHADOW
    return display
  }

  /** Calls `listener` for each function placed from now on before anybody else looks at it (BUS_NOTIFY_ADD_DEVICE). @returns stops it */
  onAnnounced(listener: Listener): () => void {
    const own: Listener = (fn) => listener(fn)
    this.#announced = [...this.#announced, own]
    return () => {
      this.#announced = this.#announced.filter((other) => other !== own)
    }
  }
  /** Calls `listener` for each function placed from now on. @returns stops it */
  onAdded(listener: Listener): () => void {
    const own: Listener = (fn) => listener(fn)
    this.#added = [...this.#added, own]
    return () => {
      this.#added = this.#added.filter((other) => other !== own)
    }
  }
  /** Calls `listener` after a function was taken out: it is not `present` any more. @returns stops it */
  onRemoved(listener: Listener): () => void {
    const own: Listener = (fn) => listener(fn)
    this.#removed = [...this.#removed, own]
    return () => {
      this.#removed = this.#removed.filter((other) => other !== own)
    }
  }

  #join(fn: PlacedFunction): void {
    this.#at.set(key(fn.segment, fn.bdf), fn)
    this.#functions = undefined
    this.resets.probe(fn)
    const siblings = fn.parent?.children
    siblings?.push(fn)
    siblings?.sort((a, b) => a.bdf - b.bdf)
    fn.model.attached?.(fn)
    fn.update()
    this.#trace.emit('added', { segment: fn.segment, bdf: fn.bdf })
    this.#joinSriov(fn)
    for (const listener of this.#announced) listener(fn)
    for (const listener of this.#added) listener(fn)
  }

  #joinSriov(fn: PlacedFunction): void {
    if (fn.virtualPort && isUsable(fn.config, fn.virtualPort.at))
      fn.sriov = new Sriov(fn, fn.virtualPort, this.#virtualBus)
    const physfn = fn.virtfn?.physfn as PlacedFunction | undefined
    physfn?.virtfns.push(fn)
    physfn?.sriov?.joined(fn)
  }
  readonly #virtualBus: VirtualBus = {
    addVirtual: (physfn, bdf, index) => {
      const { model, segment } = physfn
      if (!model.virtualFunctions) throw new Error(`${physfn.name} has no model of virtual functions`)
      const virtfn = { physfn: physfn as PlacedFunction, index }
      return this.#place(model.virtualFunctions.make(index), { segment, bdf }, virtfn)
    },
    drop: (virtfn) => this.remove(virtfn),
    neighbour: ({ segment, bdf }, devfn) => this.at(segment, (bdf & ~0xff) | devfn),
    lastBus: ({ parent }) => parent?.bridge?.subordinate ?? 255,
    ariForwarded: ({ parent }) => parent !== undefined && forwardsAri(parent),
    hasEarlierPhysical: (fn) =>
      [...this.#at.values()].some(
        (other) => other !== fn && other.sriov && other.segment === fn.segment && busOf(other.bdf) === busOf(fn.bdf),
      ),
  }

  #bridgeTo(segment: number, bdf: Bdf, where: string): PlacedFunction | undefined {
    const bus = busOf(bdf)
    if (bus === 0 || this.#roots.has(key(segment, bus << 8))) return undefined
    for (const fn of this.#at.values()) if (fn.segment === segment && fn.bridge?.secondary === bus) return fn
    throw new CompositionError(`${where}: bus ${hex(bus)} is no root bus, and no bridge's secondary bus`)
  }
  #checkBuses(segment: number, model: FunctionModel, where: string): void {
    const bridge = bridgeInfo(model.config)
    if (!bridge || bridge.secondary === 0) return
    if (bridge.subordinate < bridge.secondary) {
      throw new CompositionError(
        `${where}: subordinate bus ${hex(bridge.subordinate)} is below secondary bus ${hex(bridge.secondary)}`,
      )
    }
    for (const other of this.#at.values()) {
      if (other.segment !== segment || other.bridge?.secondary !== bridge.secondary) continue
      throw new CompositionError(`${where}: secondary bus ${hex(bridge.secondary)} already lies behind ${other.name}`)
    }
  }
  #checkDecoding(fn: PlacedFunction, where: string): void {
    for (const bar of fn.bars) {
      const first = bar.space === 'io' ? undefined : fn.wants(bar)
      if (first === undefined) continue
      const last = first + bar.size - 1
      for (const other of this.#at.values()) {
        const hit = other.decoded.find((range) => range.first <= last && range.last >= first)
        if (!hit) continue
        this.#bus.drop(fn.dma)
        throw new CompositionError(
          `${where}: BAR ${bar.index} at ${hex(first)} overlaps BAR ${hit.bar.index} of ${other.name} at ${hex(hit.first)}`,
        )
      }
    }
  }

  #inOrder(): PlacedFunction[] {
    const order: PlacedFunction[] = []
    const visit = (bus: readonly PlacedFunction[]): void => {
      order.push(...bus)
      for (const fn of bus) if (fn.children.length > 0) visit(fn.children)
    }
    const onRoots = [...this.#at.values()].filter((fn) => !fn.parent)
    for (const root of [...new Set(onRoots.map(busKey))].toSorted((a, b) => a - b)) {
      visit(onRoots.filter((fn) => busKey(fn) === root).toSorted((a, b) => a.bdf - b.bdf))
    }
    return order
  }
}
/** The PCI buses of this host. */
export const Pci: Token<PciTopology> = token('Pci')

/** Base class 03, subclass 00. */
const DISPLAY_VGA = 0x0300
const isBootDisplay = (config: Uint8Array): boolean =>
  word(config, HEADER.CLASS + 1) === DISPLAY_VGA && (word(config, HEADER.COMMAND) & 3) !== 0
const ROM_SHADOW = { first: 0xc_0000, bytes: 0x2_0000 } as const

const key = (segment: number, bdf: Bdf): number => segment * 0x1_0000 + bdf
/** There can be virtual functions, and they have places and a page size (sriov_init, compute_max_vf_buses). */
function isUsable(config: Uint8Array, at: number): boolean {
  const total = word(config, at + SRIOV.TOTAL_VFS)
  const placed = word(config, at + SRIOV.FIRST_OFFSET) > 0 && (total < 2 || word(config, at + SRIOV.STRIDE) > 0)
  return total > 0 && placed && word(config, at + SRIOV.SUPPORTED_PAGES) > 0
}

/** Whose virtual function it is, and which. */
interface Virtual {
  readonly physfn: PlacedFunction
  readonly index: number
}

const busKey = (fn: PlacedFunction): number => key(fn.segment, busOf(fn.bdf) << 8)

function checkModel(where: string, { config, bars }: FunctionModel): void {
  if (config.length !== 256 && config.length !== 4096) {
    throw new CompositionError(`${where}: configuration space of ${config.length} bytes; 256 or 4096 are needed`)
  }
  if (config.length === 4096 && !findCapability(config, CAP.EXPRESS)) {
    throw new CompositionError(`${where}: 4096 bytes of configuration space without a PCI Express capability`)
  }
  const taken = new Set<number>()
  for (const bar of bars) {
    checkBar(where, bar, config)
    for (const index of bar.wide ? [bar.index, bar.index + 1] : [bar.index]) {
      if (taken.has(index)) throw new CompositionError(`${where}: BAR ${index} is used twice`)
      taken.add(index)
    }
  }
}

const LEAST_SIZE = { memory: 16, io: 4, rom: 2048 } as const

function checkBar(where: string, bar: Bar, config: Uint8Array): void {
  const { index, size, space, wide } = bar
  const refuse = (rule: string): never => {
    throw new CompositionError(`${where}: BAR ${index} ${rule}`)
  }
  const count = isBridge(config) ? 2 : 6
  if (space === 'rom' ? index !== 6 : !(index >= 0 && index + (wide ? 1 : 0) < count))
    refuse(`does not exist in its header`)
  if (wide && space !== 'memory') refuse('is 64 bits wide and not memory')
  if (!(size >= LEAST_SIZE[space]) || 2 ** Math.round(Math.log2(size)) !== size) {
    refuse(`has ${size} bytes; a power of two of at least ${LEAST_SIZE[space]} is needed`)
  }
  const address = barValue(config, bar)
  if (address % size !== 0) {
    refuse(
      `at ${hex(address)} (register ${hex(barOffset(index, isBridge(config)))}) is not aligned to its ${size} bytes`,
    )
  }
}
