/** A unit's registers as its driver reaches them: loads and stores of the boot CPU. drivers/iommu/amd/init.c iommu_feature_set. */
import { type Field, hex, hiWord, join, loWord, put, split, MappedRegisters } from '@ioasis/core'
import { CTRL, REG } from '../spec/registers.ts'

/** How often a status is read before the hardware counts as broken; Linux waits LOOP_TIMEOUT microseconds. */
const PATIENCE = 10_000

/** The registers of one unit. */
export class UnitRegisters extends MappedRegisters {
  /** Sets a field of the Control Register. */
  control(field: Field, value: number): void {
    split(this.read64(REG.CTRL))
    const hi = hiWord()
    const lo = loWord()
    const wide = field.word === 1
    this.write64(REG.CTRL, join(wide ? put(field, hi, value) : hi, wide ? lo : put(field, lo, value)))
  }
  /** Switches a feature on. */
  enable(feature: keyof typeof CTRL): void {
    this.control(CTRL[feature], 1)
  }
  /** Switches it off. */
  disable(feature: keyof typeof CTRL): void {
    this.control(CTRL[feature], 0)
  }

  /** Reads the Status Register until a bit is as wanted. @throws Error when it never is: the hardware is broken */
  waitFor(mask: number, wanted: number): void {
    for (let i = 0; i < PATIENCE; i++) if ((this.read(REG.STATUS) & mask) === wanted) return
    throw new Error(`unit at ${hex(this.base)}: status does not become ${hex(wanted)} of ${hex(mask)}`)
  }
}
