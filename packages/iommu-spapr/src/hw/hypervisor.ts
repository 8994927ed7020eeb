/**
 * The hypervisor's side of a partition's DMA windows, as QEMU answers: hypercalls on TCE tables, RTAS calls on windows. QEMU
 * hw/ppc/spapr_iommu.c h_put_tce and others, hw/ppc/spapr_rtas_ddw.c. No value of a TCE is checked.
 */
import { type HostMemory, join } from '@ioasis/core'
import { H, H_CALL, H_ENTRIES_MAX, type TceHypercalls } from '../spec/hypercall.ts'
import { RTAS, type RtasFirmware } from '../spec/rtas.ts'
import { swap32 } from '../spec/tce.ts'
import { WINDOW1_FIRST } from '../spec/tve.ts'
import type { FirmwareLog } from './firmware-log.ts'
import type { TceTable } from './tce-table.ts'
import type { VirtualPhb } from './virtual-phb.ts'

/** Tokens that the device tree names. */
export const TOKEN = { QUERY: 0x2026, CREATE: 0x2027, REMOVE: 0x2028, RESET: 0x2029 } as const
/** Page sizes a window may have: 4 KiB, 64 KiB, 16 MiB, 2 MiB in a query's mask. */
const PAGE_MASK = 0x107
const PAGE_SHIFTS: ReadonlySet<number> = new Set([12, 16, 21, 24])
/** Entries of the largest window that a query offers, for six and for five outputs. */
const LARGEST_BLOCK = [0x20, 0] as const
const LARGEST_BLOCK_32 = 0x8000_0000
const DEFAULT_SHIFT = 12

/** What the partition's bridges have by default. */
export interface DefaultWindow {
  readonly first: bigint
  readonly bytes: number
}

/** The hypervisor of one partition. */
export class Hypervisor implements TceHypercalls, RtasFirmware {
  tceHi = 0
  tceLo = 0
  readonly #phbs: readonly VirtualPhb[]
  readonly #memory: HostMemory
  readonly #log: FirmwareLog
  readonly #default: DefaultWindow
  /** Dynamic windows are offered. */
  readonly #dynamic: boolean
  readonly #tables = new Map<number, TceTable>()

  constructor(
    phbs: readonly VirtualPhb[],
    memory: HostMemory,
    log: FirmwareLog,
    { defaultWindow, dynamic }: { readonly defaultWindow: DefaultWindow; readonly dynamic: boolean },
  ) {
    this.#phbs = phbs
    this.#memory = memory
    this.#log = log
    this.#default = defaultWindow
    this.#dynamic = dynamic
    for (const phb of phbs) {
      for (const table of phb.tables) this.#tables.set(table.liobn, table)
      this.#restore(phb)
    }
  }

  getTce(liobn: number, hi: number, lo: number): number {
    const table = this.#tables.get(liobn)
    const index = table ? table.indexOf(hi, lo) : -1
    if (!table || index < 0) return H.PARAMETER
    table.get(index)
    this.tceHi = table.hi
    this.tceLo = table.lo
    if (this.#log.wanted) this.#tell('H_GET_TCE', H_CALL.GET_TCE, liobn, hi, lo, join(table.hi, table.lo))
    return H.SUCCESS
  }

  putTce(liobn: number, hi: number, lo: number, tceHi: number, tceLo: number): number {
    const table = this.#tables.get(liobn)
    const index = table ? table.indexOf(hi, lo) : -1
    if (table && index >= 0) table.put(index, tceHi, tceLo)
    const ret = index < 0 ? H.PARAMETER : H.SUCCESS
    if (this.#log.wanted) this.#tell('H_PUT_TCE', H_CALL.PUT_TCE, liobn, hi, lo, join(tceHi, tceLo), ret)
    return ret
  }

  putTceIndirect(liobn: number, hi: number, lo: number, list: number, pages: number): number {
    const table = this.#tables.get(liobn)
    if (!table || pages > H_ENTRIES_MAX || list % 4096 !== 0) return H.PARAMETER
    let ret: number = H.PARAMETER
    for (let n = 0; n < pages; n++) {
      const at = list + 8 * n
      if (!this.#memory.loadEntry((at / 0x1_0000_0000) | 0, at | 0, true)) break
      const index = table.indexOf(hi, lo)
      ret = index < 0 || index + n >= table.entries ? H.PARAMETER : H.SUCCESS
      if (ret !== H.SUCCESS) break
      table.put(index + n, swap32(this.#memory.entryLo), swap32(this.#memory.entryHi))
    }
    if (this.#log.wanted) {
      const args = { liobn, ioba: join(hi, lo), list, npages: pages }
      this.#log.add({ call: 'H_PUT_TCE_INDIRECT', number: H_CALL.PUT_TCE_INDIRECT, args, ret })
    }
    return ret
  }

  stuffTce(liobn: number, hi: number, lo: number, tceHi: number, tceLo: number, pages: number): number {
    const table = this.#tables.get(liobn)
    if (!table || pages > table.entries) return H.PARAMETER
    const index = table.indexOf(hi, lo)
    const fitting = index < 0 ? 0 : Math.min(pages, table.entries - index)
    table.fill(index, fitting, tceHi, tceLo)
    const ret = pages > 0 && fitting === pages ? H.SUCCESS : H.PARAMETER
    if (this.#log.wanted) {
      const ioba = join(hi, lo)
      const args = { liobn, ioba, value: join(tceHi, tceLo), npages: pages }
      const lastIoba = ioba + (BigInt(pages) << BigInt(table.shift))
      this.#log.add({ call: 'H_STUFF_TCE', number: H_CALL.STUFF_TCE, args, ret, lastIoba })
    }
    return ret
  }

  call(token: number, inputs: readonly number[], outputs: number): readonly number[] {
    const answer = this.#answer(token, inputs, outputs)
    return Array.from({ length: outputs }, (_, i) => (answer[i] ?? 0) >>> 0)
  }
  #answer(token: number, inputs: readonly number[], outputs: number): readonly number[] {
    if (token === TOKEN.QUERY) return this.#query(inputs, outputs)
    if (token === TOKEN.CREATE) return this.#create(inputs, outputs)
    if (token === TOKEN.REMOVE) return this.#remove(inputs, outputs)
    if (token === TOKEN.RESET) return this.#reset(inputs, outputs)
    return [RTAS.PARAMETER]
  }

  #query(inputs: readonly number[], outputs: number): readonly number[] {
    const phb = this.#phbOf(inputs)
    if (inputs.length !== 3 || (outputs !== 5 && outputs !== 6) || !phb || !this.#dynamic) return [RTAS.PARAMETER]
    const free = phb.tables.length - active(phb)
    const addr = inputs[0] as number
    this.#log.add({
      call: 'ibm,query-pe-dma-window',
      number: TOKEN.QUERY,
      args: { buid: phb.buid, addr, windows: free, mask: PAGE_MASK },
      ret: 0,
    })
    const block = outputs === 6 ? LARGEST_BLOCK : [LARGEST_BLOCK_32]
    return [RTAS.SUCCESS, free, ...block, PAGE_MASK, 0]
  }

  #create(inputs: readonly number[], outputs: number): readonly number[] {
    const phb = this.#phbOf(inputs)
    if (inputs.length !== 5 || outputs !== 4 || !phb || !this.#dynamic) return [RTAS.PARAMETER]
    const [addr, , , pageShift, windowShift] = inputs as [number, number, number, number, number]
    if (!PAGE_SHIFTS.has(pageShift) || windowShift < pageShift) return [RTAS.PARAMETER]
    const table = phb.tables.find((t) => t.entries === 0)
    if (!table) return [RTAS.HARDWARE]
    const first = active(phb) === 0 ? this.#default.first : WINDOW1_FIRST
    table.enable(first, pageShift, 2 ** (windowShift - pageShift))
    const { buid } = phb
    this.#log.add({
      call: 'ibm,create-pe-dma-window',
      number: TOKEN.CREATE,
      args: { buid, addr, first, pageShift, windowShift, liobn: table.liobn },
      ret: 0,
    })
    return [RTAS.SUCCESS, table.liobn, Number(first >> 32n), Number(first & 0xffff_ffffn)]
  }

  #remove(inputs: readonly number[], outputs: number): readonly number[] {
    const [liobn = -1] = inputs
    const phb = this.#phbs.find((p) => p.tables.some((t) => t.liobn === liobn))
    const table = this.#tables.get(liobn)
    if (inputs.length !== 1 || outputs !== 1 || !phb || !table || !this.#dynamic || table.entries === 0)
      return [RTAS.PARAMETER]
    table.disable()
    this.#log.add({ call: 'ibm,remove-pe-dma-window', number: TOKEN.REMOVE, args: { liobn }, ret: 0 })
    // The last window goes and was not the default one: the platform restores that.
    if (active(phb) === 0 && table !== phb.tables[0]) {
      this.#restore(phb)
      this.#log.add({ call: 'window-reset', args: { buid: phb.buid, addr: 0 }, ret: 0 })
    }
    return [RTAS.SUCCESS]
  }

  #reset(inputs: readonly number[], outputs: number): readonly number[] {
    const phb = this.#phbOf(inputs)
    if (inputs.length !== 3 || outputs !== 1 || !phb || !this.#dynamic) return [RTAS.PARAMETER]
    for (const table of phb.tables) table.disable()
    this.#restore(phb)
    const args = { buid: phb.buid, addr: inputs[0] as number }
    this.#log.add({ call: 'window-reset', number: TOKEN.RESET, args, ret: 0 })
    return [RTAS.SUCCESS]
  }

  #restore({ tables }: VirtualPhb): void {
    tables[0].enable(this.#default.first, DEFAULT_SHIFT, this.#default.bytes / 2 ** DEFAULT_SHIFT)
  }
  /** Inputs 1 and 2 name the bridge; which of its endpoints is asked does not matter. */
  #phbOf([, high = 0, low = 0]: readonly number[]): VirtualPhb | undefined {
    const buid = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)
    return this.#phbs.find((phb) => phb.buid === buid)
  }
  #tell(call: string, number: number, liobn: number, hi: number, lo: number, tce: bigint, ret = 0): void {
    this.#log.add({ call, number, args: { liobn, ioba: join(hi, lo), tce }, ret })
  }
}

const active = ({ tables }: VirtualPhb): number => tables.filter((t) => t.entries > 0).length
