/** A log that a unit writes and the driver reads: events, page requests. drivers/iommu/amd/iommu.c iommu_poll_events, ppr.c amd_iommu_poll_ppr_log. */
import { bitsOf, type Cpu, type Field, type Hpa, type PageAllocator } from '@ioasis/core'
import { type CTRL, type REG, RING, RING_POINTER_MASK, STATUS } from '../spec/registers.ts'
import { REG as OFFSET } from '../spec/registers.ts'
import type { UnitRegisters } from './unit-registers.ts'

/** Bytes of the ring: 512 entries of 16 bytes. */
const RING_BYTES = 8192
const ENTRY_BYTES = 16
const LENGTH_FIELD = 9n

/** Which log. */
export interface LogPlace {
  readonly name: string
  readonly base: keyof typeof REG
  readonly head: keyof typeof REG
  readonly tail: keyof typeof REG
  /** Switches of the log and of its interrupt. */
  readonly log: keyof typeof CTRL
  readonly interrupt: keyof typeof CTRL
  /** Status: the interrupt was raised, an entry was lost, the log runs. */
  readonly raised: Field
  readonly overflow: Field
  readonly run: Field
}
/** The event log. */
export const EVENT_LOG: LogPlace = {
  name: 'event log',
  base: 'EVTBASE',
  head: 'EVTHEAD',
  tail: 'EVTTAIL',
  log: 'EventLogEn',
  interrupt: 'EventIntEn',
  raised: STATUS.EventLogInt,
  overflow: STATUS.EventOverflow,
  run: STATUS.EventLogRun,
}
/** The log of page requests. */
export const PAGE_REQUEST_LOG: LogPlace = {
  name: 'page request log',
  base: 'PPRBASE',
  head: 'PPRHEAD',
  tail: 'PPRTAIL',
  log: 'PPRLogEn',
  interrupt: 'PPRIntEn',
  raised: STATUS.PPRInt,
  overflow: STATUS.PPROverflow,
  run: STATUS.PPRLogRun,
}

/** An entry as four int32 words. */
export type LogEntry = Int32Array

/** One log of one unit. */
export class LogRing {
  readonly hpa: Hpa
  readonly #place: LogPlace
  readonly #registers: UnitRegisters
  readonly #cpu: Cpu
  readonly #pages: PageAllocator
  readonly #entry: (entry: LogEntry) => void

  /** @param entry told of each entry, the oldest first @throws UapiError ENOMEM */
  constructor(
    place: LogPlace,
    unit: { readonly name: string; readonly registers: UnitRegisters },
    host: { readonly cpu: Cpu; readonly pages: PageAllocator },
    entry: (entry: LogEntry) => void,
  ) {
    this.#place = place
    this.#registers = unit.registers
    this.#cpu = host.cpu
    this.#pages = host.pages
    this.#entry = entry
    this.hpa = host.pages.alloc(RING_BYTES, `${unit.name} ${place.name}`)
  }

  /** Tells the unit where the ring is, and lets it write. */
  start(): void {
    const { base, head, tail, log } = this.#place
    this.#registers.write64(OFFSET[base], BigInt(this.hpa) | (LENGTH_FIELD << BigInt(RING.LENGTH.lo)))
    this.#registers.write(OFFSET[head], 0)
    this.#registers.write(OFFSET[tail], 0)
    this.#registers.enable(log)
  }

  /**
   * The interrupt: reads what came, and lets a log that overflowed start again (amd_iommu_handle_irq, amd_iommu_restart_log).
   * What is raised while entries are read is read, too.
   */
  handle(): void {
    const { raised, overflow } = this.#place
    const mask = bitsOf(raised) | bitsOf(overflow)
    for (let status = this.#status(); status & mask; status = this.#status()) {
      this.#registers.write(OFFSET.STATUS, mask)
      this.drain()
      if (status & bitsOf(overflow)) this.#restart()
    }
  }
  /** Reads all entries. They are cleared, so that one that is not written yet can be told (errata 732, 733). */
  drain(): void {
    const { head, tail } = this.#place
    let at = this.#registers.read(OFFSET[head]) & RING_POINTER_MASK
    const end = this.#registers.read(OFFSET[tail]) & RING_POINTER_MASK
    while (at !== end) {
      const bytes = new Uint8Array(ENTRY_BYTES)
      this.#cpu.read(this.hpa + at, bytes)
      this.#cpu.write(this.hpa + at, new Uint8Array(ENTRY_BYTES))
      at = (at + ENTRY_BYTES) % RING_BYTES
      this.#registers.write(OFFSET[head], at)
      this.#entry(new Int32Array(bytes.buffer))
    }
  }
  /** The unit must have stopped. */
  free(): void {
    this.#pages.free(this.hpa, RING_BYTES)
  }

  #status(): number {
    return this.#registers.read(OFFSET.STATUS)
  }
  #restart(): void {
    const { run, log, interrupt, overflow } = this.#place
    if (this.#status() & bitsOf(run)) return
    this.#registers.disable(log)
    this.#registers.disable(interrupt)
    this.#registers.write(OFFSET.STATUS, bitsOf(overflow))
    this.#registers.enable(interrupt)
    this.#registers.enable(log)
  }
}
