/** Interrupt remapping table entries: 48882 "Interrupt Remapping Tables"; 32 bits, or 128 with CTRL.GAEn. */
import { field, type Field } from '@ioasis/core'

/** A 32-bit entry; bits 31:24 are reserved. */
export const IRTE: Readonly<
  Record<'RemapEn' | 'SupIOPF' | 'IntType' | 'RqEoi' | 'DM' | 'GuestMode' | 'Destination' | 'Vector', Field>
> = {
  RemapEn: field(0),
  /** Refused without an event. */
  SupIOPF: field(1),
  /** 0 fixed, 1 arbitrated; the rest is reserved. */
  IntType: field(4, 2),
  RqEoi: field(5),
  /** 1: logical destination. */
  DM: field(6),
  GuestMode: field(7),
  Destination: field(15, 8),
  Vector: field(23, 16),
}
/** A 128-bit entry: first word (RemapEn to GuestMode as `IRTE`), then second. */
export const IRTE_GA_LO: Readonly<
  Record<'RemapEn' | 'SupIOPF' | 'IntType' | 'RqEoi' | 'DM' | 'GuestMode' | 'Destination' | 'GaTag', Field>
> = {
  RemapEn: field(0),
  SupIOPF: field(1),
  IntType: field(4, 2),
  RqEoi: field(5),
  DM: field(6),
  GuestMode: field(7),
  /** Bits 23:0; without CTRL.XTEn the low eight count. */
  Destination: field(31, 8),
  GaTag: field(63, 32),
}
export const IRTE_GA_HI: { readonly Vector: Field; readonly Destination: Field } = {
  Vector: field(7, 0),
  /** Bits 31:24, with CTRL.XTEn. */
  Destination: field(63, 56),
}
/** Message data: the index of the entry, and the kind of interrupt, as an I/O APIC or MSI has it. */
export const MESSAGE: { readonly Index: Field; readonly Vector: Field; readonly DeliveryMode: Field } = {
  /** Bits 10:0 index the table; with a table of at most 512 bits 10:8 double as delivery mode. */
  Index: field(10, 0),
  Vector: field(7, 0),
  DeliveryMode: field(10, 8),
}
