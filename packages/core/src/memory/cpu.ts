/** A CPU as kernel code, user code and vCPUs use it: loads, stores, and the two instructions that move its cache. */
import type { Hpa } from '../address.ts'
import { type Token, token } from '../plugin/token.ts'

/**
 * One CPU of the host. On a host without a cache model all CPUs are one view of memory and the flushes do nothing.
 * Software of the host (drivers, copyin, vCPUs) reaches memory only through here, so that a forgotten CLFLUSH is visible.
 */
export interface Cpu {
  readonly id: number
  /** Raw views as `HostMemory.words`; empty on a host with a cache model. For loops that fill tables. */
  readonly words: readonly (Int32Array | undefined)[]
  /** As `HostMemory.chunkForWriting`. */
  chunkForWriting(index: number): Int32Array | undefined
  /** @returns bytes read; fewer than asked: nothing answers at the next one */
  read(hpa: Hpa, into: Uint8Array): number
  /** @returns bytes written; fewer than given: nothing answers at the next one */
  write(hpa: Hpa, from: Uint8Array): number
  /** An aligned load of 1, 2, 4 or 8 bytes; all ones where nothing answers, as on the bus. */
  load(hpa: Hpa, size: 1 | 2 | 4 | 8): bigint
  /** An aligned store of 1, 2, 4 or 8 bytes; lost where nothing answers. */
  store(hpa: Hpa, size: 1 | 2 | 4 | 8, value: bigint): void
  /** An aligned 32-bit load as an int32 word: for code that may not make a bigint. */
  loadWord(hpa: Hpa): number
  /** An aligned 32-bit store of an int32 or uint32 word. */
  storeWord(hpa: Hpa, value: number): void
  /** An aligned 64-bit load as two int32 words, left in `lo` and `hi`: for code that may not make a bigint. */
  loadWords(hpa: Hpa): void
  readonly lo: number
  readonly hi: number
  /** An aligned 64-bit store from two words. */
  storeWords(hpa: Hpa, lo: number, hi: number): void
  /** CLFLUSH of each line that [hpa, hpa + bytes) touches, in every CPU: written back if dirty, then dropped. */
  clflush(hpa: Hpa, bytes: number): void
  /** WBINVD: this CPU's cache is written back and dropped. */
  wbinvd(): void
}

/** The CPUs of this host, in order of their id. The first one boots and runs the kernel's own code. */
export const Cpus: Token<readonly [Cpu, ...Cpu[]]> = token('Cpus')
