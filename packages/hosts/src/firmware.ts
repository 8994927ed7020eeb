/**
 * What firmware does before the kernel starts: gives every BAR that has none an address, opens the windows of bridges, and
 * lets functions decode. What has an address already (a recorded machine, a place with addresses) stays as it is.
 */
import { type Bar, CompositionError, hex, Pci, type PciFunction, type PciTopology, type Plugin } from '@ioasis/core'

/** Where addresses may lie: below 4 GiB, above RAM, below the chipset's own registers. */
export interface FirmwareOptions {
  /** Default: 0xc0000000 to 0xfdffffff. */
  readonly memory?: { readonly first: number; readonly last: number }
  /** Default: 0x1000 to 0xffff. */
  readonly io?: { readonly first: number; readonly last: number }
}

const COMMAND = 0x04
const VF_BAR0 = 0x24
const DECODE = 3
const FORWARD = 7
/** Bridges forward memory in units of 1 MiB, I/O in units of 4 KiB. */
const MEMORY_UNIT = 0x10_0000
const IO_UNIT = 0x1000

/** A plug-in that does so once all functions stand. */
export const firmware = (options: FirmwareOptions = {}): Plugin => ({
  name: 'firmware',
  contract: 1,
  needs: [Pci],
  setup: (host) => {
    host.onReady(() => assignAddresses(host.get(Pci), options))
  },
})

/** As `firmware`, now. @throws CompositionError when the ranges do not hold all BARs */
export function assignAddresses(pci: PciTopology, options: FirmwareOptions = {}): void {
  const memory = new Space('memory', options.memory ?? { first: 0xc000_0000, last: 0xfdff_ffff }, MEMORY_UNIT)
  const io = new Space('I/O', options.io ?? { first: 0x1000, last: 0xffff }, IO_UNIT)
  for (const fn of pci.functions) for (const bar of fn.bars) (bar.space === 'io' ? io : memory).take(fn, bar)
  const roots = pci.functions.filter((fn) => !fn.parent)
  for (const fn of roots) assign(pci, fn, memory, io)
}

/** Behind a bridge all addresses come after each other, so that one window holds them. */
function assign(pci: PciTopology, fn: PciFunction, memory: Space, io: Space): void {
  for (const bar of fn.bars)
    if (fn.barRegister(bar.index) === 0) program(fn, bar, (bar.space === 'io' ? io : memory).next(fn, bar))
  assignVirtual(fn, memory)
  if (!fn.bridge) {
    if (fn.bars.length > 0) fn.writeConfig(COMMAND, 2, fn.readConfig(COMMAND, 2) | DECODE)
    return
  }
  if (windowIsOpen(fn)) return
  const firstMemory = memory.align()
  const firstIo = io.align()
  for (const child of pci.children(fn)) assign(pci, child, memory, io)
  const memoryLast = memory.align() - 1
  const ioLast = io.align() - 1
  if (memoryLast > firstMemory)
    fn.writeConfig(0x20, 4, (((firstMemory >>> 16) & 0xfff0) | (memoryLast & 0xfff0_0000)) >>> 0)
  if (ioLast > firstIo) fn.writeConfig(0x1c, 2, ((firstIo >>> 8) & 0xf0) | (ioLast & 0xf000))
  fn.writeConfig(COMMAND, 2, fn.readConfig(COMMAND, 2) | FORWARD)
}

/** As the kernel does, which gives addresses to virtual functions beforehand: all BARs n lie together. */
function assignVirtual(fn: PciFunction, memory: Space): void {
  const { sriov } = fn
  for (const bar of sriov?.bars ?? []) {
    if (!sriov || sriov.base(bar) !== 0) continue
    const at = sriov.at + VF_BAR0 + 4 * bar.index
    fn.writeConfig(at, 4, memory.next(fn, { ...bar, size: bar.size * sriov.totalVfs }))
    if (bar.wide) fn.writeConfig(at + 4, 4, 0)
  }
}

function windowIsOpen(bridge: PciFunction): boolean {
  const window = bridge.readConfig(0x20, 4)
  return window !== 0 && window >>> 20 >= (window & 0xffff) >>> 4
}

function program(fn: PciFunction, bar: Bar, address: number): void {
  const at = bar.index < 6 ? 0x10 + 4 * bar.index : fn.bridge ? 0x38 : 0x30
  fn.writeConfig(at, 4, address)
  if (bar.wide) fn.writeConfig(at + 4, 4, 0)
}

/** Addresses of one kind, handed out upwards around those taken. */
class Space {
  readonly #what: string
  readonly #last: number
  readonly #unit: number
  readonly #taken: { readonly first: number; readonly end: number }[] = []
  #next: number

  constructor(what: string, { first, last }: { readonly first: number; readonly last: number }, unit: number) {
    this.#what = what
    this.#next = first
    this.#last = last
    this.#unit = unit
  }
  take(fn: PciFunction, bar: Bar): void {
    const first = fn.barRegister(bar.index)
    if (first > 0) this.#taken.push({ first, end: first + bar.size })
  }
  next(fn: PciFunction, { index, size }: Pick<Bar, 'index' | 'size'>): number {
    let first = roundUp(this.#next, size)
    for (let hit = this.#hit(first, size); hit; hit = this.#hit(first, size)) first = roundUp(hit.end, size)
    this.#next = first + size
    if (this.#next - 1 <= this.#last) return first
    throw new CompositionError(
      `${fn.name}: BAR ${index} of ${hex(size)} bytes: no ${this.#what} address is left below ${hex(this.#last + 1)}`,
    )
  }
  /** Moves up to the next unit of a bridge's window. */
  align(): number {
    return (this.#next = roundUp(this.#next, this.#unit))
  }
  #hit(first: number, size: number): { readonly end: number } | undefined {
    return this.#taken.find((t) => first < t.end && first + size > t.first)
  }
}

const roundUp = (value: number, unit: number): number => Math.ceil(value / unit) * unit
