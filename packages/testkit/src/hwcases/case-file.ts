/**
 * What a file of hardware cases holds: tables and register writes to feed to an IOMMU, and what comes out of it.
 * Format 1 was recorded from QEMU, format 2 was written by hand from the specifications; `testdata/hwcases/README.md`
 * describes both. Values stay as the file writes them; `case-reader.ts` checks them once.
 */

/** An unsigned number as text, e.g. `0x2000000`. */
export type Hex = string
/** `02:00.0`. */
export type BdfText = string

/** One file of cases. */
export interface CaseFile {
  /** File name without its endings, e.g. `intel-spec`; first part of a case's identity. */
  readonly name: string
  /** 1: recorded; 2: written from the specification. */
  readonly format: 1 | 2
  readonly source: string
  readonly iommu: 'intel' | 'amd'
  /** Where the unit's registers lie. */
  readonly mmioBase: Hex
  /** Bytes of RAM from address 0 on. */
  readonly ramBytes: number
  readonly devices: Readonly<Record<BdfText, string>>
  readonly cases: readonly HwCase[]
}

/** One case: a fresh machine and steps in order. */
export interface HwCase {
  /** Unique within `group`. */
  readonly name: string
  readonly group: string
  readonly note: string
  /** Properties of the unit: QEMU's (format 1) or register values (format 2). */
  readonly unit: Readonly<Record<string, string | number>>
  /** Absent: all functions on bus 0; `rootport`: 01:00.0 below a root port; `bridges`: 02:07.0 behind a PCIe-to-PCI bridge. */
  readonly topology?: string
  /** Format 2: how sure the expectations are; `low` is not asserted. */
  readonly confidence?: 'high' | 'medium' | 'low'
  /** Format 2: what is unsure. */
  readonly why?: string
  readonly steps: readonly CaseStep[]
  /** Format 1: registers at the end, by name. */
  readonly after?: Readonly<Record<string, Hex>>
  /** Fields that this reader does not know, by path; the player reports each as a difference rather than ignore it. */
  readonly unread: readonly string[]
}

/** A piece of RAM. */
export interface Landed {
  readonly addr: Hex
  readonly len: number
}
/** Data that a device read: where it says it comes from, or its value. */
export interface ReadPiece {
  readonly from?: Hex
  readonly value?: Hex
  readonly len: number
}
/** A 64-bit word of RAM that the unit changed. */
export interface MemWrite {
  readonly addr: Hex
  readonly before: Hex
  readonly after: Hex
}
/** An entry of VT-d's fault recording registers. `care`: bits of `raw` to compare; absent = all. */
export interface FaultRecord {
  readonly raw: readonly Hex[]
  readonly care?: readonly Hex[]
  readonly index?: number
  readonly reason: Hex | readonly Hex[]
  readonly [field: string]: unknown
}
/** An entry of AMD's event log. */
export interface LogEvent {
  readonly raw: readonly Hex[]
  readonly care?: readonly Hex[]
  readonly code: Hex
  readonly name: string
  readonly flags: string
  readonly [field: string]: unknown
}
/** What an access left in the unit's log: `fsts` and `records` (Intel), or `events`, `evtTail` and `status` (AMD). */
export interface Faults {
  readonly fsts?: Hex
  readonly records?: readonly FaultRecord[]
  readonly events?: readonly LogEvent[]
  readonly evtTail?: Hex
  readonly status?: Hex
}
/** An interrupt that left the unit. */
export interface Delivered {
  readonly vector: Hex
  readonly dest: Hex
  readonly destMode: string
  readonly deliveryMode: string
}
/** A message that the unit sent. */
export type CaseMessage =
  | { readonly kind: 'ats-invalidate'; readonly bdf: BdfText; readonly addr: Hex; readonly size: number }
  | {
      readonly kind: 'page-response'
      readonly bdf: BdfText
      readonly pasid: Hex
      readonly prg: Hex
      readonly code: string
    }
  | { readonly kind: 'fault-event'; readonly addr: Hex; readonly data: Hex }

/** What an access is expected to do. Absent `memWrites` means none; any other absent member is not compared. */
export interface CaseResult {
  readonly bus?: 'ok' | 'error'
  readonly landed?: readonly Landed[]
  readonly read?: readonly ReadPiece[]
  readonly memWrites?: readonly MemWrite[]
  /** These are among the changes; others are allowed. */
  readonly memWritesInclude?: readonly MemWrite[]
  readonly faults?: Faults
  readonly events?: readonly LogEvent[]
  readonly coherency?: 'snoop' | 'no-snoop'
  /** Format 1: vectors newly pending; format 2: the interrupts themselves. */
  readonly delivered?: readonly (Hex | Delivered)[]
  readonly status?: string | readonly string[]
  readonly r?: number | readonly number[]
  readonly w?: number | readonly number[]
  readonly n?: number | readonly number[]
  readonly addr?: Hex
  readonly size?: number
  readonly maxSize?: number
  /** Complete results: the first of a unit that caches everything, the second of a unit without caches. */
  readonly anyOf?: readonly CaseResult[]
}

/** Attributes of a request. */
interface Attributes {
  readonly bdf: BdfText
  readonly pasid?: Hex
  readonly exec?: number
  readonly priv?: number
}

/** The steps by their `op`. */
export interface StepsByOp {
  mem: { readonly addr: Hex; readonly u64: readonly Hex[] }
  tag: { readonly addr: Hex; readonly len: number }
  reg: {
    readonly off: Hex
    readonly name: string
    readonly size: number
    readonly value: Hex
    readonly memWrites?: readonly MemWrite[]
  }
  'read-reg': {
    readonly off: Hex
    readonly name: string
    readonly size: number
    readonly value: Hex
    readonly mask?: Hex
  }
  'read-mem': { readonly addr: Hex; readonly u64: readonly Hex[]; readonly mask?: readonly Hex[] }
  dma: Attributes & {
    readonly dir: 'read' | 'write' | 'atomic'
    readonly iova: Hex
    readonly len: number
    readonly at?: 'translated'
    readonly noSnoop?: number
    readonly result: CaseResult
  }
  msi: { readonly bdf: BdfText; readonly addr: Hex; readonly data: Hex; readonly result: CaseResult }
  ats: Attributes & { readonly iova: Hex; readonly nw?: number; readonly result: CaseResult }
  'page-request': Attributes & {
    readonly addr: Hex
    readonly r: number
    readonly w: number
    readonly last: number
    readonly prg: number
    readonly result: CaseResult
  }
  'pending-vectors': { readonly value: readonly Hex[] }
  events: { readonly events: readonly LogEvent[]; readonly evtTail?: Hex; readonly status?: Hex }
  messages: { readonly messages: readonly CaseMessage[] }
  device: { readonly bdf: BdfText; readonly devTlb: string }
  advance: { readonly ms: number }
  note: { readonly text?: string }
}
/** The name of a step. */
export type StepOp = keyof StepsByOp
/** One step. */
export type CaseStep = { [K in StepOp]: { readonly op: K } & StepsByOp[K] }[StepOp]
