/**
 * The interrupt by which a unit calls its driver: a message of its function's MSI capability, or with x2APIC of its own registers.
 * drivers/iommu/amd/init.c iommu_init_irq, iommu_setup_msi, iommu_setup_intcapxt. Linux has an interrupt for each log with
 * x2APIC; here one vector serves all, as it does with MSI.
 */
import { CAP, type Interrupts, MSI_WINDOW, type PciFunction, put } from '@ioasis/core'
import { REG, XT_INTERRUPT } from '../spec/registers.ts'
import type { UnitRegisters } from './unit-registers.ts'

/** The interrupt of one unit. */
export class UnitInterrupt {
  readonly #interrupts: Interrupts
  readonly #fn: PciFunction
  readonly #registers: UnitRegisters
  #vector: number | undefined
  #stop: (() => void) | undefined

  /** @param fn the unit's own function */
  constructor(interrupts: Interrupts, fn: PciFunction, registers: UnitRegisters) {
    this.#interrupts = interrupts
    this.#fn = fn
    this.#registers = registers
  }

  /** Takes a vector, and tells the unit of it. @throws RangeError when no vector is left */
  start(x2apic: boolean, handler: () => void): void {
    const vector = this.#interrupts.allocate()
    this.#vector = vector
    this.#stop = this.#interrupts.handle(vector, handler)
    if (x2apic) this.#programRegisters(vector)
    else this.#programMsi(vector)
  }
  /** Nobody listens any more; harmless when nobody did. */
  stop(): void {
    this.#stop?.()
    this.#stop = undefined
    if (this.#vector !== undefined) this.#interrupts.free(this.#vector)
    this.#vector = undefined
  }

  #programRegisters(vector: number): void {
    const word = BigInt(put(XT_INTERRUPT.Vector, 0, vector)) << 32n
    for (const register of [REG.XT_GENERAL, REG.XT_PPR, REG.XT_GALOG]) this.#registers.write64(register, word)
    this.#registers.enable('IntCapXTEn')
  }
  #programMsi(vector: number): void {
    const fn = this.#fn
    const at = fn.capability(CAP.MSI)
    if (at === 0) return
    const wide = (fn.readConfig(at + 2, 2) & 0x80) !== 0
    fn.writeConfig(at + 4, 4, MSI_WINDOW.first)
    if (wide) fn.writeConfig(at + 8, 4, 0)
    fn.writeConfig(at + (wide ? 12 : 8), 2, vector)
    fn.writeConfig(at + 2, 2, fn.readConfig(at + 2, 2) | 1)
  }
}
