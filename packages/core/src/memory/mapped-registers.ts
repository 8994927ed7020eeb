/** A piece of hardware's registers as its driver reaches them: loads and stores of a CPU at the place where they stand. */
import type { Hpa } from '../address.ts'
import type { Cpu } from './cpu.ts'

/** Registers in memory. */
export class MappedRegisters {
  /** Where they stand. */
  readonly base: Hpa
  readonly #cpu: Cpu

  constructor(cpu: Cpu, base: Hpa) {
    this.#cpu = cpu
    this.base = base
  }

  /** A 32-bit register, as int32. @param offset bytes from the start */
  read(offset: number): number {
    return this.#cpu.loadWord(this.base + offset)
  }
  /** @param value int32 or uint32 */
  write(offset: number, value: number): void {
    this.#cpu.storeWord(this.base + offset, value)
  }
  /** A 64-bit register. */
  read64(offset: number): bigint {
    return this.#cpu.load(this.base + offset, 8)
  }
  write64(offset: number, value: bigint): void {
    this.#cpu.store(this.base + offset, 8, value)
  }
}
