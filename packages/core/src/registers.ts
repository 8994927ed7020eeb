/** A file of memory-mapped registers described as data: what software may do to each bit; behaviour attaches by name. */
import { hex, join } from './address.ts'
import type { AccessSize, MmioWindow } from './memory/backing.ts'

/** One register as a specification's table prints it. Bits in none of the masks are read-only. */
export interface RegisterSpec {
  /** Bytes from the start of the window, a multiple of `size`. */
  readonly offset: number
  /** 4 unless given. */
  readonly size?: 4 | 8
  readonly reset?: number | bigint
  /** Bits software sets and clears. */
  readonly rw?: number | bigint
  /** Bits software clears by writing 1. */
  readonly rw1c?: number | bigint
  /** Bits that read as zero whatever they hold. */
  readonly wo?: number | bigint
}

/** Which 32-bit halves of a register a store reached. */
export const HALVES = { LOW: 1, HIGH: 2, BOTH: 3 } as const
/** One of `HALVES`. */
export type Halves = (typeof HALVES)[keyof typeof HALVES]

/**
 * Runs after a store, once the access rules were applied.
 * @param lo bits 31:0 as software wrote them, int32; 0 when that half was not written
 * @param hi bits 63:32 likewise
 * @param halves which half was written; a 32-bit register is always `HALVES.LOW`
 */
export type WriteAction = (lo: number, hi: number, halves: Halves) => void

interface Register {
  readonly name: string
  /** Index of its low word. */
  readonly word: number
  readonly wide: boolean
  action: WriteAction | undefined
}

/**
 * Registers of 32 and 64 bits. Software's side is `load` and `store` (or the word forms): a 64-bit register may be reached
 * in halves; two 32-bit registers may be reached with one 8-byte access, the lower one first; bytes no register claims read
 * as zero and ignore stores; so do stores of 1 and 2 bytes, which specifications leave undefined. Hardware's own side is
 * `lo`, `hi` and `set`: no rules, no actions.
 */
export class RegisterFile<Name extends string> implements MmioWindow {
  /** The register's value before the store that runs the present action. */
  oldLo = 0
  oldHi = 0
  readonly #values: Int32Array
  readonly #resets: Int32Array
  readonly #rw: Int32Array
  readonly #rw1c: Int32Array
  /** Bits that read as they are. */
  readonly #readable: Int32Array
  readonly #at: (Register | undefined)[]
  readonly #named = new Map<Name, Register>()

  /**
   * @param sizeBytes bytes of the window, a multiple of 8
   * @throws RangeError when two registers overlap, one is misplaced, or a bit is both RW and RW1C
   */
  constructor(specs: Readonly<Record<Name, RegisterSpec>>, sizeBytes: number) {
    const words = sizeBytes / 4
    this.#values = new Int32Array(words)
    this.#resets = new Int32Array(words)
    this.#rw = new Int32Array(words)
    this.#rw1c = new Int32Array(words)
    this.#readable = new Int32Array(words)
    this.#at = Array.from({ length: words }, () => undefined)
    for (const name of Object.keys(specs) as Name[]) this.#declare(name, specs[name])
    this.reset()
  }

  /** Gives every register its reset value; no action runs. */
  reset(): void {
    this.#values.set(this.#resets)
  }

  /** Attaches behaviour to a register; a second action takes the place of the first. */
  onWrite(name: Name, action: WriteAction): this {
    this.#register(name).action = action
    return this
  }

  /** Where a register stands, for `wordAt` and `setAt`: who reads it often looks its name up once. */
  placeOf(name: Name): number {
    return this.#register(name).word
  }
  /** Bits 31:0 of the register at a place, as int32; bits 63:32 of a 64-bit one at the next. */
  wordAt(place: number): number {
    return this.#values[place] as number
  }
  setAt(place: number, word: number): void {
    this.#values[place] = word
  }
  /** Bits 31:0 of a register, as int32. */
  lo(name: Name): number {
    return this.#values[this.#register(name).word] as number
  }
  /** Bits 63:32 of a register, as int32; 0 for a 32-bit one. */
  hi(name: Name): number {
    const { word, wide } = this.#register(name)
    return wide ? (this.#values[word + 1] as number) : 0
  }
  /** Sets a register; `hi` of a 64-bit one stays as it is when left out. */
  set(name: Name, lo: number, hi?: number): void {
    const { word, wide } = this.#register(name)
    this.#values[word] = lo
    if (wide && hi !== undefined) this.#values[word + 1] = hi
  }

  /** Software loads. @param offset a multiple of `size` */
  load(offset: number, size: AccessSize): bigint {
    if (size === 8) return join(this.loadWord(offset + 4), this.loadWord(offset))
    const word = this.loadWord(offset & ~3) >>> ((offset & 3) * 8)
    return BigInt(size === 4 ? word : word & (size === 2 ? 0xffff : 0xff))
  }
  /** Software stores. @param offset a multiple of `size` */
  store(offset: number, size: AccessSize, value: bigint): void {
    const lo = Number(BigInt.asIntN(32, value))
    if (size === 8) this.storeWords(offset, lo, Number(BigInt.asIntN(32, value >> 32n)))
    else if (size === 4) this.storeWord(offset, lo)
  }
  /** Software's 4-byte load, as int32. @param offset a multiple of 4 */
  loadWord(offset: number): number {
    const word = offset >>> 2
    return word < this.#values.length ? (this.#values[word] as number) & (this.#readable[word] as number) : 0
  }
  /** Software's 4-byte store. @param offset a multiple of 4 */
  storeWord(offset: number, value: number): void {
    const word = offset >>> 2
    const register = word < this.#at.length ? this.#at[word] : undefined
    if (!register) return
    this.#latch(register)
    this.#write(word, value)
    if (word === register.word) register.action?.(value | 0, 0, HALVES.LOW)
    else register.action?.(0, value | 0, HALVES.HIGH)
  }
  /** Software's 8-byte store. @param offset a multiple of 8 */
  storeWords(offset: number, lo: number, hi: number): void {
    const word = offset >>> 2
    const register = word < this.#at.length ? this.#at[word] : undefined
    if (register?.wide !== true) {
      this.storeWord(offset, lo)
      this.storeWord(offset + 4, hi)
      return
    }
    this.#latch(register)
    this.#write(word, lo)
    this.#write(word + 1, hi)
    register.action?.(lo | 0, hi | 0, HALVES.BOTH)
  }

  #write(word: number, value: number): void {
    const rw = this.#rw[word] as number
    const kept = (this.#values[word] as number) & ~rw & ~(value & (this.#rw1c[word] as number))
    this.#values[word] = kept | (value & rw)
  }
  #latch(register: Register): void {
    this.oldLo = this.#values[register.word] as number
    this.oldHi = register.wide ? (this.#values[register.word + 1] as number) : 0
  }
  #register(name: Name): Register {
    const register = this.#named.get(name)
    if (!register) throw new Error(`registers: there is no ${name}`)
    return register
  }
  #declare(name: Name, spec: RegisterSpec): void {
    const { offset, size = 4, reset = 0, rw = 0, rw1c = 0, wo = 0 } = spec
    const word = offset / 4
    if (offset % size !== 0 || offset < 0 || word + size / 4 > this.#at.length) {
      throw new RangeError(`registers: ${name} does not fit at ${hex(offset)}`)
    }
    if (BigInt(rw) & BigInt(rw1c)) throw new RangeError(`registers: a bit of ${name} cannot be both RW and RW1C`)
    const register: Register = { name, word, wide: size === 8, action: undefined }
    this.#named.set(name, register)
    for (let i = 0; i < size / 4; i++) {
      const taken = this.#at[word + i]
      if (taken) throw new RangeError(`registers: ${name} and ${taken.name} share ${hex(offset + i * 4)}`)
      this.#at[word + i] = register
      this.#resets[word + i] = half(reset, i)
      this.#rw[word + i] = half(rw, i)
      this.#rw1c[word + i] = half(rw1c, i)
      this.#readable[word + i] = ~half(wo, i)
    }
  }
}

const half = (value: number | bigint, i: number): number => Number(BigInt.asIntN(32, BigInt(value) >> BigInt(i * 32)))
