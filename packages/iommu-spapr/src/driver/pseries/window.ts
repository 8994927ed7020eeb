/**
 * A TCE table that a hypervisor keeps: each entry is a hypercall, or two. arch/powerpc/platforms/pseries/iommu.c
 * tce_exchange_pseries, tce_freemulti_pSeriesLP.
 */
import {
  type Claim,
  type DmaWindow,
  ERRNO,
  type Errno,
  type Hpa,
  hpaHi,
  hpaLo,
  hpaOf,
  type Iova,
  type IovaRange,
  type TceAccess,
  UapiError,
} from '@ioasis/core'
import { H, H_ENTRIES_MAX, type TceHypercalls } from '../../spec/hypercall.ts'
import { TCE } from '../../spec/tce.ts'
import { HeldWindow } from '../held-window.ts'

/** What a table is. */
export interface LparShape {
  readonly liobn: number
  readonly first: Iova
  readonly pageShift: number
  readonly entries: number
  /** Bytes its holder was charged for. */
  readonly tableBytes: bigint
}

/** One table (`struct iommu_table`). */
export class LparWindow extends HeldWindow implements DmaWindow {
  readonly liobn: number
  readonly first: Iova
  readonly bytes: bigint
  readonly entries: number
  readonly pageShift: number
  readonly levels = 1
  tableBytes: bigint
  oldHpa: Hpa = 0
  readonly #calls: TceHypercalls
  readonly #firstHi: number
  readonly #firstLo: number
  /** Entries this kernel has put and not taken out. */
  readonly #present = new Set<number>()
  /** Bus address of the entry at hand. */
  #hi = 0
  #lo = 0

  constructor(calls: TceHypercalls, shape: LparShape) {
    super('pseries')
    this.#calls = calls
    this.liobn = shape.liobn
    this.first = shape.first
    this.pageShift = shape.pageShift
    this.entries = shape.entries
    this.bytes = BigInt(shape.entries) << BigInt(shape.pageShift)
    this.tableBytes = shape.tableBytes
    this.#firstHi = Number(shape.first >> 32n)
    this.#firstLo = Number(shape.first & 0xffff_ffffn)
  }

  /** iommu_table_clear(): whatever stood there goes. */
  clear(): void {
    for (let index = 0; index < this.entries; index += H_ENTRIES_MAX) {
      this.#point(index)
      const count = Math.min(this.entries - index, H_ENTRIES_MAX)
      if (this.#calls.stuffTce(this.liobn, this.#hi, this.#lo, 0, 0, count) !== H.SUCCESS) return
    }
  }

  exchange(index: number, hpa: Hpa, access: TceAccess): TceAccess {
    this.#point(index)
    const calls = this.#calls
    let rc = calls.getTce(this.liobn, this.#hi, this.#lo)
    const [oldHi, oldLo] = [calls.tceHi, calls.tceLo]
    if (rc === H.SUCCESS) rc = calls.putTce(this.liobn, this.#hi, this.#lo, hpaHi(hpa), hpaLo(hpa) | access)
    if (rc !== H.SUCCESS) throw new UapiError(errnoOf(rc), 'tce_exchange_pseries', { liobn: this.liobn, index, rc })
    if (access === 0) this.#present.delete(index)
    else this.#present.add(index)
    this.oldHpa = hpaOf(oldHi & 0xf_ffff, oldLo & ~0xfff)
    return (oldLo & TCE.BOTH) as TceAccess
  }
  lookup(index: number): TceAccess {
    this.#point(index)
    const calls = this.#calls
    this.oldHpa = 0
    if (calls.getTce(this.liobn, this.#hi, this.#lo) !== H.SUCCESS) return 0
    this.oldHpa = hpaOf(calls.tceHi & 0xf_ffff, calls.tceLo & ~0xfff)
    return (calls.tceLo & TCE.BOTH) as TceAccess
  }
  /** The hypervisor sees to its hardware with each call. */
  kill(): void {
    return
  }
  nextMade(index: number): number {
    return Math.min(index, this.entries)
  }
  /** The table is the hypervisor's. */
  protected override released(): void {
    return
  }

  /** What this kernel has put into it. */
  claims(unit: string, near?: IovaRange): readonly Claim[] {
    const bytes = 1n << BigInt(this.pageShift)
    const claims: Claim[] = []
    for (const index of this.#present) {
      const iova = this.first + BigInt(index) * bytes
      if (near && (iova > near.last || iova + bytes <= near.first)) continue
      const access = this.lookup(index)
      if (access === 0) continue
      const write = (access & TCE.WRITE) !== 0
      claims.push({ kind: 'mapped', domain: this, unit, tag: this.liobn, iova, bytes, hpa: this.oldHpa, write })
    }
    return claims
  }

  #point(index: number): void {
    const offset = this.#firstLo + index * 2 ** this.pageShift
    this.#hi = (this.#firstHi + Math.floor(offset / 0x1_0000_0000)) | 0
    this.#lo = offset | 0
  }
}

/** A hypervisor's answer taken for -errno, as the kernel does; one that no errno has is an I/O error. */
function errnoOf(rc: number): Errno {
  const found = Object.entries(ERRNO).find(([, number]) => number === -rc)
  return (found?.[0] ?? 'EIO') as Errno
}
