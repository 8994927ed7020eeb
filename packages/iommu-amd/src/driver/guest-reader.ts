/**
 * Reads guest tables slowly, for the audit: 48882 "Guest and Nested Address Translation". Tables are the guest's or a process's,
 * not the driver's; where they lie is told by a function, which for a guest goes through its memory.
 */
import type { Cpu, Hpa, IovaRange, Pasid } from '@ioasis/core'
import { DTE0, DTE1, DTE2 } from '../spec/device-table.ts'
import { GCR3_BITS } from '../spec/guest-page-table.ts'
import { type Dte, getDte } from './device-table-entry.ts'

/** Where a table lies; undefined: nowhere. */
export type ToHost = (address: bigint) => Hpa | undefined
/** Told of each page: its target is an address of the guest. */
export type GuestLeafVisitor = (iova: bigint, bytes: bigint, target: bigint, write: boolean) => void

const ADDRESS = 0x000f_ffff_ffff_f000n
const [P, RW, PS] = [1n, 2n, 0x80n]
const INDEX_BITS = 9n
const ENTRIES = 512

/**
 * Visits the pages of a table, lowest iova first.
 * @param root of `levels` levels
 * @param near leaves out entries that lie beside this range
 */
export function guestLeaves(
  cpu: Cpu,
  { root, levels, near }: { readonly root: bigint; readonly levels: number; readonly near?: IovaRange | undefined },
  toHost: ToHost,
  visit: GuestLeafVisitor,
): void {
  walk(root & ADDRESS, levels, 0n, true)
  function walk(table: bigint, level: number, start: bigint, writable: boolean): void {
    const hpa = toHost(table)
    if (hpa === undefined) return
    const shift = 12n + INDEX_BITS * BigInt(level - 1)
    for (let i = 0; i < ENTRIES; i++) {
      const iova = start + (BigInt(i) << shift)
      if (near && (iova > near.last || iova + (1n << shift) <= near.first)) continue
      const entry = cpu.load(hpa + 8 * i, 8)
      if ((entry & P) === 0n) continue
      const write = writable && (entry & RW) !== 0n
      const leaf = level === 1 || (entry & PS) !== 0n
      if (leaf) visit(iova, 1n << shift, entry & ADDRESS & -(1n << shift), write)
      else walk(entry & ADDRESS, level - 1, iova, write)
    }
  }
}

/** Visits the PASIDs of a guest's entry that have a table. */
export function guestRoots(cpu: Cpu, dte: Dte, toHost: ToHost, visit: (pasid: Pasid, root: bigint) => void): void {
  if (getDte(dte, 0, DTE0.GV) === 0) return
  const root =
    (BigInt(getDte(dte, 0, DTE0.GCR3_14_12)) << 12n) |
    (BigInt(getDte(dte, 1, DTE1.GCR3_30_15)) << 15n) |
    (BigInt(getDte(dte, 1, DTE1.GCR3_51_31)) << 31n)
  walk(root, getDte(dte, 0, DTE0.GLX), 0)
  function walk(table: bigint, level: number, first: Pasid): void {
    const hpa = toHost(table)
    if (hpa === undefined) return
    for (let i = 0; i < ENTRIES; i++) {
      const entry = cpu.load(hpa + 8 * i, 8)
      if ((entry & 1n) === 0n) continue
      const pasid = first + (i << (GCR3_BITS * level))
      if (level === 0) visit(pasid, entry & ADDRESS)
      else walk(entry & ADDRESS, level - 1, pasid)
    }
  }
}

/** Levels of the tables that a guest's entry names. */
export const guestLevelsOf = (dte: Dte): number => 4 + getDte(dte, 2, DTE2.GuestPagingMode)
