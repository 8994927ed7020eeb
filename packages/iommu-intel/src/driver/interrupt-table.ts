/**
 * The interrupt remapping table of one unit: made, handed over and switched on at boot, as Linux does wherever firmware and
 * unit offer it. drivers/iommu/intel/irq_remapping.c intel_setup_irq_remapping, iommu_set_irq_remapping.
 *
 * It stays empty: no message of this host is in remappable format. Linux makes 65536 entries, here are as many as one CPU has
 * vectors.
 */
import type { Hpa } from '@ioasis/core'
import { GCMD, REG } from '../spec/registers.ts'
import type { DmarUnit } from './dmar-unit.ts'
import { ALL_INTERRUPTS } from './invalidation.ts'

/** IRTA: 2^(S+1) entries of 16 bytes. */
const SIZE_FIELD = 7
const BYTES = 16 << (SIZE_FIELD + 1)

/** A table in use. */
export class InterruptTable {
  readonly hpa: Hpa
  readonly #unit: DmarUnit

  /** @throws UapiError ENOMEM */
  constructor(unit: DmarUnit) {
    this.#unit = unit
    this.hpa = unit.memory.table(`${unit.name} interrupt remapping table`)
    const { registers } = unit
    registers.write64(REG.IRTA, BigInt(this.hpa + SIZE_FIELD))
    registers.start(GCMD.SIRTP, GCMD.SIRTP)
    unit.invalidate([ALL_INTERRUPTS])
    registers.switchOn(GCMD.IRE)
  }
  /** Remapping off, the table given back. */
  close(): void {
    this.#unit.registers.switchOff(GCMD.IRE)
    this.#unit.invalidate([ALL_INTERRUPTS])
    this.#unit.memory.pages.free(this.hpa, BYTES)
  }
}

/** Whether a unit can: it says so, and has the queue that its entries are invalidated by. */
export const remapsInterrupts = ({ capabilities }: DmarUnit): boolean =>
  capabilities.interruptRemapping && capabilities.queued
