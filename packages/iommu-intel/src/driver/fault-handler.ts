/**
 * The fault event of one unit: an interrupt of its own, and the records it points to. Intel VT-d r4.1 "7.3 Non-Recoverable
 * Fault Reporting"; drivers/iommu/intel/dmar.c dmar_set_interrupt, dmar_fault.
 */
import { bitsOf, get, type Interrupts, MSI_WINDOW, NO_PASID, type Trace } from '@ioasis/core'
import { EVENT_CONTROL, FRCD, FSTS, REG } from '../spec/registers.ts'
import { faultLine } from './fault-text.ts'
import type { UnitCapabilities } from './unit-capabilities.ts'
import type { UnitRegisters } from './unit-registers.ts'

const RECORD_BYTES = 16
/** Bit 7 of FSTS: Page Request Overflow of older units; Linux writes it along. */
const PRO = 1 << 7

/** What it needs of its unit. */
interface Source {
  readonly name: string
  readonly segment: number
  readonly registers: UnitRegisters
  readonly capabilities: UnitCapabilities
}

/** Reads faults out of a unit, frees their records, and tells the trace. */
export class FaultEvent {
  readonly #unit: Source
  readonly #interrupts: Interrupts
  readonly #trace: Trace
  #vector: number | undefined
  #stop: (() => void) | undefined

  constructor(unit: Source, interrupts: Interrupts, trace: Trace) {
    this.#unit = unit
    this.#interrupts = interrupts
    this.#trace = trace
  }

  /** Takes a vector, tells the unit where it is, and unmasks the event. */
  enable(): void {
    const { registers } = this.#unit
    this.#vector = this.#interrupts.allocate()
    this.#stop = this.#interrupts.handle(this.#vector, () => this.drain())
    registers.write(REG.FEDATA, this.#vector)
    registers.write(REG.FEADDR, MSI_WINDOW.first)
    registers.write(REG.FEUADDR, 0)
    registers.write(REG.FECTL, 0)
    this.drain()
    registers.write(REG.FSTS, registers.read(REG.FSTS))
  }
  /** Masks the event and gives the vector back. */
  close(): void {
    if (this.#vector === undefined) return
    this.#unit.registers.write(REG.FECTL, bitsOf(EVENT_CONTROL.IM))
    this.#stop?.()
    this.#interrupts.free(this.#vector)
    this.#vector = undefined
  }

  /** Reads all records from the oldest one on, frees each, and clears the status. */
  drain(): void {
    const { registers, capabilities } = this.#unit
    const status = registers.read(REG.FSTS)
    if (!get(FSTS.PPF, status, 0)) return
    let index = get(FSTS.FRI, status, 0)
    for (let n = 0; n < capabilities.faultRecords; n++) {
      const at = capabilities.faultOffset + index * RECORD_BYTES
      const high = registers.read(at + 12)
      if (!get(FRCD.F, 0, high)) break
      const low = registers.read(at + 8)
      const iova = registers.read64(at) & ~0xfffn
      registers.write(at + 12, bitsOf(FRCD.F))
      if (this.#trace.wants('fault')) this.#tell(low, high, iova)
      index = index + 1 === capabilities.faultRecords ? 0 : index + 1
    }
    registers.write(REG.FSTS, bitsOf(FSTS.PFO) | bitsOf(FSTS.PPF) | PRO)
  }

  #tell(low: number, high: number, iova: bigint): void {
    const { name, segment } = this.#unit
    const requester = get(FRCD.SID, low, high)
    const reason = get(FRCD.FR, low, high)
    const write = !get(FRCD.T1, low, high)
    const pasid = get(FRCD.PP, low, high) ? get(FRCD.PV, low, high) : NO_PASID
    const text = faultLine({ segment, requester, reason, write, pasid, iova })
    this.#trace.emit('fault', { unit: name, requester, iova, reason, write, text })
  }
}
