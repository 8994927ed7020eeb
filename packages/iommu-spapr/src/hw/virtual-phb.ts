/**
 * A host bridge that a hypervisor gives to a partition: requests are looked up in the tables behind its windows, which only
 * hypercalls change, so nothing is cached here. A request that fails is dropped without a trace for the partition, as QEMU does;
 * no freeze is modelled. QEMU hw/ppc/spapr_pci.c, hw/ppc/spapr_iommu.c spapr_tce_translate_iommu.
 */
import {
  type Bdf,
  type Claim,
  DMA,
  type DmaRequest,
  type ExplainedEntry,
  type Explanation,
  hex,
  hpaOf,
  type InterruptMessage,
  type IommuUnit,
  type MsiMessage,
  type Status,
} from '@ioasis/core'
import { REASON, reasonText } from '../spec/fault-reason.ts'
import { accessText } from '../spec/tce.ts'
import type { TceTable } from './tce-table.ts'

/** Where QEMU's bridges take messages: 64 KiB from 4 TiB on (SPAPR_PCI_MSI_WINDOW). */
const MESSAGES = 0x400_0000_0000n
const MESSAGE_HI = 0x400

/** One bridge. */
export class VirtualPhb implements IommuUnit {
  readonly name: string
  readonly segment: number
  readonly buid: bigint
  /** Tables by window: the default one, the dynamic one. */
  readonly tables: readonly [TceTable, TceTable]
  /** Requests dropped. */
  dropped = 0
  readonly msi: {
    readonly address: bigint
    remap(message: MsiMessage, requester: Bdf): InterruptMessage
  } = {
    address: MESSAGES,
    remap: ({ data }) => ({ vector: data & 0xff, dest: 0, destMode: 'physical', deliveryMode: 0 }),
  }

  constructor(name: string, segment: number, buid: bigint, tables: readonly [TceTable, TceTable]) {
    this.name = name
    this.segment = segment
    this.buid = buid
    this.tables = tables
  }

  covers(segment: number): boolean {
    return segment === this.segment
  }

  translate(request: DmaRequest): Status {
    const { iovaHi: hi, iovaLo: lo, out, length, access } = request
    if (request.pasid !== -1 || request.translated) return this.#refuse(REASON.KIND)
    const [preset, dynamic] = this.tables
    let table = preset
    let index = preset.indexOf(hi, lo)
    if (index < 0) {
      table = dynamic
      index = dynamic.indexOf(hi, lo)
    }
    if (index < 0) {
      if (hi !== MESSAGE_HI || lo >>> 16 !== 0) return this.#refuse(REASON.NO_WINDOW)
      out.target = 2 // TARGET.INTERRUPT
      out.hpaHi = hi
      out.hpaLo = lo
      out.bytes = Math.min(length, 0x1_0000 - lo)
      out.snooped = true
      return 0
    }
    table.get(index)
    const allowed = table.lo & 3
    if ((allowed & access) !== access) return this.#refuse(denied(allowed, access))
    const { shift } = table
    const inPage = shift >= 32 ? -1 : (1 << shift) - 1
    const inPageHi = shift > 32 ? (1 << (shift - 32)) - 1 : 0
    const left = inPage < 0 ? 0x4000_0000 - (lo & 0x3fff_ffff) : inPage + 1 - (lo & inPage)
    out.target = 1 // TARGET.MEMORY
    out.hpaLo = (table.lo & ~inPage) | (lo & inPage)
    out.hpaHi = (table.hi & ~inPageHi) | (hi & inPageHi)
    out.bytes = length < left ? length : left
    out.snooped = true
    return 0
  }

  explain(request: DmaRequest): Explanation {
    const { iovaHi: hi, iovaLo: lo, access } = request
    const unit = this.name
    const refused = (status: number, entries: readonly ExplainedEntry[] = []): Explanation => ({
      unit,
      entries,
      status,
      verdict: reasonText(status),
    })
    if (request.pasid !== -1 || request.translated) return refused(REASON.KIND)
    const table = this.tables.find((t) => t.indexOf(hi, lo) >= 0)
    if (!table) {
      if (hi !== MESSAGE_HI || lo >>> 16 !== 0) return refused(REASON.NO_WINDOW)
      return { unit, entries: [], status: DMA.OK, hpa: hpaOf(hi, lo), verdict: 'an interrupt message' }
    }
    table.get(table.indexOf(hi, lo))
    const allowed = table.lo & 3
    // The entry lies in the hypervisor's memory, which this machine's addresses do not reach.
    const where = `TCE ${hex(table.indexOf(hi, lo))} of LIOBN ${hex(table.liobn)}, ${accessText(allowed)}`
    if ((allowed & access) !== access) {
      const status = denied(allowed, access)
      return { ...refused(status), verdict: `${where}: ${reasonText(status)}` }
    }
    const page = 2 ** table.shift
    const target = hpaOf(table.hi & 0xf_ffff, table.lo & ~0xfff)
    const hpa = target - (target % page) + (((hi & 3) * 0x1_0000_0000 + (lo >>> 0)) % page)
    return { unit, entries: [], status: DMA.OK, hpa, pageBytes: page, verdict: `${where}, leads to ${hex(hpa)}` }
  }
  reasonText(status: Status): string {
    return reasonText(status)
  }
  inspect(): readonly Claim[] {
    return []
  }

  #refuse(reason: number): Status {
    this.dropped++
    return reason
  }
}

function denied(allowed: number, access: number): number {
  if (allowed === 0) return REASON.NOT_PRESENT
  return (access & ~allowed & 2) !== 0 ? REASON.WRITE : REASON.READ
}
