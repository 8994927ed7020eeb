/**
 * The guest's hypercalls on TCE tables that KVM answers itself: the table it shows and every hardware table linked to it are
 * updated together. arch/powerpc/kvm/book3s_64_vio.c; the checks are in its order.
 */
import { type Gpa, TCE_ACCESS, type TceAccess, type TceSink } from '@ioasis/core'
import type { TceTable, TceTables } from './tce-table.ts'

/** Numbers, arch/powerpc/include/asm/hvcall.h. */
export const HYPERCALL = { H_GET_TCE: 0x1c, H_PUT_TCE: 0x20, H_STUFF_TCE: 0x138, H_PUT_TCE_INDIRECT: 0x13c } as const
/** Answers. H_TOO_HARD never reaches a guest: its user answers in KVM's place. */
export const HCALL_ANSWER = { H_SUCCESS: 0, H_PARAMETER: -4, H_TOO_HARD: 9999 } as const

const { H_SUCCESS, H_PARAMETER, H_TOO_HARD } = HCALL_ANSWER
const MOST_INDIRECT = 512n
const LIST_ALIGN = 4096n
const PERMISSIONS = 3n

/** What hypercalls find of their VM. */
export interface HypercallGuest {
  readonly tables: TceTables
  /** The user address of guest memory; undefined: no slot has it. */
  uva(gpa: Gpa): bigint | undefined
  /** Reads guest memory. @returns false when it does not answer */
  read(gpa: Gpa, into: Uint8Array): boolean
}
/** An answer: r3, and r4 of H_GET_TCE. */
export interface HypercallAnswer {
  readonly ret: number
  readonly value?: bigint
}

/** Answers one hypercall. @param args r4 and up @returns H_TOO_HARD also for one that is not about TCEs */
export function hypercall(guest: HypercallGuest, number: number, args: readonly bigint[]): HypercallAnswer {
  const [liobn = 0n, ioba = 0n, third = 0n, pages = 0n] = args
  const table = guest.tables.find(liobn)
  if (!table) return { ret: H_TOO_HARD }
  switch (number) {
    case HYPERCALL.H_GET_TCE:
      return get(table, ioba)
    case HYPERCALL.H_PUT_TCE:
      return { ret: put(guest, table, ioba, third) }
    case HYPERCALL.H_PUT_TCE_INDIRECT:
      return { ret: putIndirect(guest, table, ioba, { list: third, pages }) }
    case HYPERCALL.H_STUFF_TCE:
      return { ret: stuff(table, ioba, third, pages) }
    default:
      return { ret: H_TOO_HARD }
  }
}

/** kvmppc_ioba_validate(): the first of so many entries from an address on. @returns undefined: not all of them are in the table */
function indexOf(table: TceTable, ioba: bigint, pages: bigint): number | undefined {
  const shift = BigInt(table.pageShift)
  const entry = ioba >> shift
  if ((ioba & ((1n << shift) - 1n)) !== 0n || entry < table.offset) return undefined
  if (entry + pages >= 1n << 64n || entry - table.offset + pages > table.pages) return undefined
  return Number(entry - table.offset)
}

function get(table: TceTable, ioba: bigint): HypercallAnswer {
  const index = indexOf(table, ioba, 1n)
  return index === undefined ? { ret: H_PARAMETER } : { ret: H_SUCCESS, value: table.value(index) }
}

const accessOf = (tce: bigint): TceAccess => Number(tce & PERMISSIONS) as TceAccess

/** kvmppc_tce_validate(): a value without permissions may be anything. @returns whether KVM can put it */
function isValid(guest: HypercallGuest, table: TceTable, tce: bigint): boolean {
  if (accessOf(tce) === TCE_ACCESS.NONE) return true
  const gpa = tce & ~PERMISSIONS
  const uva = (gpa & ((1n << BigInt(table.pageShift)) - 1n)) === 0n ? guest.uva(gpa) : undefined
  return uva !== undefined && table.sinks.every((sink) => sink.accepts(Number(uva)))
}

function put(guest: HypercallGuest, table: TceTable, ioba: bigint, tce: bigint): number {
  const index = indexOf(table, ioba, 1n)
  if (index === undefined) return H_PARAMETER
  if (!isValid(guest, table, tce)) return H_TOO_HARD
  const access = accessOf(tce)
  const uva = access === TCE_ACCESS.NONE ? undefined : guest.uva(tce & ~PERMISSIONS)
  if (access !== TCE_ACCESS.NONE && uva === undefined) return H_PARAMETER
  const done = putAll(table, index, access, uva)
  if (done === H_SUCCESS) table.put(index, tce)
  return done
}

/**
 * One entry of every linked table; one that cannot be put is cleared in the table that refuses it.
 * @param uva of its page, which must be registered; undefined: of an entry that is cleared without a look at it
 */
function putAll(table: TceTable, index: number, access: TceAccess, uva: bigint | undefined): number {
  for (const sink of table.sinks) {
    const { first, count } = entriesOf(table, sink, index)
    let done = true
    for (let i = 0; i < count && done; i++) {
      const page = uva === undefined ? undefined : Number(uva) + i * 2 ** sink.window.pageShift
      if (page !== undefined && access !== TCE_ACCESS.NONE) done = sink.map(first + i, page, access)
      else done = (page === undefined || sink.accepts(page)) && sink.unmap(first + i)
    }
    sink.kill(first, count)
    if (done) continue
    for (let i = 0; i < count; i++) sink.drop(first + i)
    return H_TOO_HARD
  }
  return H_SUCCESS
}

/** Entries of a hardware table that one of the guest's stands for: its pages may be smaller. */
function entriesOf(
  table: TceTable,
  { window }: TceSink,
  index: number,
): { readonly first: number; readonly count: number } {
  const count = 2 ** (table.pageShift - window.pageShift)
  return { first: index * count, count }
}

function putIndirect(
  guest: HypercallGuest,
  table: TceTable,
  ioba: bigint,
  { list, pages }: { readonly list: bigint; readonly pages: bigint },
): number {
  if (pages > MOST_INDIRECT || list % LIST_ALIGN !== 0n) return H_PARAMETER
  const index = indexOf(table, ioba, pages)
  if (index === undefined) return H_PARAMETER
  const bytes = new Uint8Array(Number(pages) * 8)
  if (guest.uva(list) === undefined || !guest.read(list, bytes)) return H_TOO_HARD
  const values = new DataView(bytes.buffer)
  // All are looked at before the first is put.
  for (let i = 0; i < Number(pages); i++) if (!isValid(guest, table, values.getBigUint64(i * 8))) return H_TOO_HARD
  for (let i = 0; i < Number(pages); i++) {
    const tce = values.getBigUint64(i * 8)
    const uva = guest.uva(tce & ~PERMISSIONS)
    // Linux puts a value without permissions as it puts others, and counts a mapping that nobody takes back; here it is cleared.
    const done = uva === undefined ? H_PARAMETER : putAll(table, index + i, accessOf(tce), uva)
    if (done !== H_SUCCESS) return done
    table.put(index + i, tce)
  }
  return H_SUCCESS
}

function stuff(table: TceTable, ioba: bigint, value: bigint, pages: bigint): number {
  const index = indexOf(table, ioba, pages)
  if (index === undefined || (value & PERMISSIONS) !== 0n) return H_PARAMETER
  for (const sink of table.sinks) {
    const { first, count } = entriesOf(table, sink, index)
    const all = Number(pages) * count
    let done = 0
    while (done < all && sink.unmap(first + done)) done++
    sink.kill(first, all)
    if (done < all) return H_TOO_HARD
  }
  for (let i = 0; i < Number(pages); i++) table.put(index + i, value)
  return H_SUCCESS
}
