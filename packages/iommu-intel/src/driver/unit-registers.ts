/** A unit's registers as its driver reaches them: loads and stores of the boot CPU, nothing else is known of the unit. */
import { hex, MappedRegisters } from '@ioasis/core'
import { GCMD, REG } from '../spec/registers.ts'

/** How often a status is read before the hardware counts as broken; Linux gives it ten seconds (DMAR_OPERATION_TIMEOUT). */
const PATIENCE = 10_000

/** What Linux never clears once it set it. Of Global Command only these are kept; the others start something. */
const KEPT = GCMD.TE | GCMD.EAFL | GCMD.QIE | GCMD.IRE | GCMD.CFI

/** The registers of one unit. */
export class UnitRegisters extends MappedRegisters {
  /**
   * Reads a register until `mask` of it is `wanted`.
   * @throws Error when it never is: the hardware is broken
   */
  waitFor(offset: number, mask: number, wanted: number): void {
    for (let i = 0; i < PATIENCE; i++) if ((this.read(offset) & mask) === (wanted | 0)) return
    throw new Error(
      `unit at ${hex(this.base)}: register ${hex(offset)} does not become ${hex(wanted >>> 0)} of ${hex(mask >>> 0)}`,
    )
  }

  /** Switches a bit of Global Command on and waits for its status. @param bit one of TE, QIE, IRE, CFI */
  switchOn(bit: number): void {
    this.write(REG.GCMD, (this.read(REG.GSTS) & KEPT) | bit)
    this.waitFor(REG.GSTS, bit, bit)
  }
  /** Switches a bit off and waits for its status. */
  switchOff(bit: number): void {
    this.write(REG.GCMD, this.read(REG.GSTS) & KEPT & ~bit)
    this.waitFor(REG.GSTS, bit, 0)
  }
  /** Starts a one-shot command and waits until its status is `wanted`. @param bit SRTP, WBF or SIRTP */
  start(bit: number, wanted: number): void {
    this.write(REG.GCMD, (this.read(REG.GSTS) & KEPT) | bit)
    this.waitFor(REG.GSTS, bit, wanted)
  }
}
