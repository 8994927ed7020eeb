/** The walkers of one unit, and what they take from a device table entry. */
import { bitsOf, type DmaRequest, type HostMemory, type Status, type Trace } from '@ioasis/core'
import { CTRL } from '../spec/registers.ts'
import type { Capabilities } from './capabilities.ts'
import type { DirectoryCache } from './directory-cache.ts'
import { DTE_MORE } from './dte-cache.ts'
import { GuestWalk } from './guest-walk.ts'
import { HostWalk } from './host-walk.ts'
import type { AmdRegisters } from './registers.ts'

/** Tells of a walk: to be asked for with `wants('walk')` first. @param unit its name @param status without the flags of the request */
export function traceWalk(trace: Trace, unit: string, { requester, iova }: DmaRequest, status: Status): void {
  trace.emit('walk', { unit, requester, iova, status })
}

/** Host and guest tables. */
export class Walkers {
  readonly host: HostWalk
  readonly guest: GuestWalk
  readonly #registers: AmdRegisters

  constructor(
    memory: HostMemory,
    registers: AmdRegisters,
    {
      caps,
      directories,
      qemu,
    }: { readonly caps: Capabilities; readonly directories: DirectoryCache; readonly qemu: boolean },
  ) {
    this.#registers = registers
    this.host = new HostWalk(memory, directories, caps.paBits, qemu)
    this.guest = new GuestWalk(memory, this.host, caps)
  }

  /** Takes the host's table from an entry. @param bus words of the device table cache @param at index of the entry among them */
  prepare(bus: Int32Array, at: number): void {
    const { table } = this.host
    const flags = bus[at] as number
    const more = bus[at + 5] as number
    table.levels = (flags >>> 8) & 7
    table.rootLo = bus[at + 1] as number
    table.rootHi = bus[at + 2] as number
    table.domain = flags >>> 16
    table.permitted = (flags >>> 4) & 3
    table.snooped = (more & 0x10) === 0 // DTE_MORE.SD
    table.accessed = (more & DTE_MORE.ACCESSED) !== 0
    table.dirty = (more & DTE_MORE.DIRTY) !== 0
  }
  /** CTRL.GCR3TRPMode: the GCR3 table lies at a guest-physical address. */
  get rootTranslated(): boolean {
    return (this.#registers.hi('CTRL') & bitsOf(CTRL.GCR3TRPMode)) !== 0
  }
}
