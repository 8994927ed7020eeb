/**
 * What stands in a device table entry: 48882 "Device Table Entry Format"; drivers/iommu/amd/iommu.c set_dte_v1,
 * set_dte_gcr3_table, set_dte_passthrough, nested.c set_dte_nested; amd_iommu.h amd_iommu_make_clear_dte.
 */
import { type Field, get, type Hpa, hpaHi, hpaLo, hpaOf, put } from '@ioasis/core'
import { DTE0, DTE1, DTE2 } from '../spec/device-table.ts'

/** 256 bits as eight int32 words, the lowest first. */
export type Dte = Int32Array

/** Which of the four 64-bit words a field is in. */
export type DteWord = 0 | 1 | 2 | 3

/** Sets a field. */
export function setDte(dte: Dte, word: DteWord, field: Field, value: number): void {
  const i = 2 * word + field.word
  dte[i] = put(field, dte[i] as number, value)
}
/** A field's value. */
export const getDte = (dte: Dte, word: DteWord, field: Field): number =>
  get(field, dte[2 * word] as number, dte[2 * word + 1] as number)

/** An entry that is valid and translates nothing. @param initial bits that firmware asks for */
export function emptyDte(initial: Dte | undefined): Dte {
  const dte = initial ? Int32Array.from(initial) : new Int32Array(8)
  setDte(dte, 0, DTE0.V, 1)
  return dte
}

/** How a requester's accesses are tagged, and whether it may cache translations. */
export interface DteUser {
  readonly domain: number
  readonly ats: boolean
}

function allow(dte: Dte, { domain, ats }: DteUser): void {
  setDte(dte, 0, DTE0.TV, 1)
  setDte(dte, 0, DTE0.IR, 1)
  setDte(dte, 0, DTE0.IW, 1)
  setDte(dte, 1, DTE1.DomainId, domain)
  setDte(dte, 1, DTE1.I, ats ? 1 : 0)
}

/** Requests pass untranslated: mode 0. */
export const passThrough = (dte: Dte, user: DteUser): void => allow(dte, user)

/** A host table. @param table `levels` 1 to 6, `dirty`: hardware marks pages */
export function hostTable(
  dte: Dte,
  table: { readonly root: Hpa; readonly levels: number; readonly dirty: boolean },
  user: DteUser,
): void {
  allow(dte, user)
  setDte(dte, 0, DTE0.Mode, table.levels)
  setDte(dte, 0, DTE0.HAD, table.dirty ? 3 : 0)
  dte[0] = (dte[0] as number) | (hpaLo(table.root) & ~0xfff)
  dte[1] = (dte[1] as number) | (hpaHi(table.root) & 0xf_ffff)
}
/** The host table an entry points to. */
export const hostRoot = (dte: Dte): Hpa => hpaOf((dte[1] as number) & 0xf_ffff, (dte[0] as number) & ~0xfff)

/** A GCR3 table. */
export interface GuestTable {
  readonly root: Hpa
  /** Levels of the GCR3 table, less one. */
  readonly glx: number
  /** Requests without a PASID use PASID 0's tables. */
  readonly giov: boolean
  readonly pageRequests: boolean
  readonly levels: 4 | 5
}
/** Guest tables. */
export function guestTable(dte: Dte, table: GuestTable, user: DteUser): void {
  allow(dte, user)
  setDte(dte, 0, DTE0.PPR, table.pageRequests ? 1 : 0)
  setDte(dte, 0, DTE0.GIOV, table.giov ? 1 : 0)
  setDte(dte, 0, DTE0.GV, 1)
  setDte(dte, 0, DTE0.GLX, table.glx)
  setGcr3(dte, table.root)
  setDte(dte, 2, DTE2.GuestPagingMode, table.levels - 4)
}

/** The root of a GCR3 table stands in three pieces. */
export function setGcr3(dte: Dte, root: Hpa): void {
  const hi = hpaHi(root)
  const lo = hpaLo(root)
  setDte(dte, 0, DTE0.GCR3_14_12, lo >>> 12)
  setDte(dte, 1, DTE1.GCR3_30_15, lo >>> 15)
  setDte(dte, 1, DTE1.GCR3_51_31, (hi << 1) | (lo >>> 31))
}

/** Adds what a guest wrote into its own entry to one with the guest's memory as host table. */
export function nestGuest(dte: Dte, guest: Dte): void {
  setDte(dte, 0, DTE0.GV, 1)
  for (const field of [DTE0.PPR, DTE0.GLX, DTE0.GIOV, DTE0.GCR3_14_12]) setDte(dte, 0, field, getDte(guest, 0, field))
  for (const field of [DTE1.GCR3_30_15, DTE1.GCR3_51_31]) setDte(dte, 1, field, getDte(guest, 1, field))
  setDte(dte, 2, DTE2.GuestPagingMode, getDte(guest, 2, DTE2.GuestPagingMode))
}
