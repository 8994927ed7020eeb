/**
 * The second-stage walk in legacy mode; Intel VT-d r4.1 "Second-Stage Translation" and "Second-Stage Paging Entries".
 *
 * Each level: the permission asked for first (an entry without it ends the walk, whatever else it says), then reserved bits,
 * then leaf or next table. Permissions are the AND over all levels. No paging-structure cache is modelled: tables are read
 * on each miss, which the specification allows. Accessed and Dirty are ignored, as legacy mode does.
 */
import { ACCESS, type DmaRequest, type HostMemory, mask64 } from '@ioasis/core'
import { REASON } from '../spec/fault-reason.ts'
import { SS_ADDRESS_BITS } from '../spec/second-stage.ts'
import type { Capabilities } from './capabilities.ts'
import { ctxLevels } from './context-cache.ts'

const OK = 0
/** `SS.SNP` of the low word, `SS.TM` of the high word; `SS.PS` is the literal 0x80. */
const SNP = 0x800
const TM = 0x4000_0000
/** Address bits inside a leaf at each level. */
const OFFSET: readonly number[] = [0, 0xfff, 0x1f_ffff, 0x3fff_ffff, 0, 0]

/** Flags of a found leaf, and of an IOTLB entry: permissions as in `ACCESS`, and the snoop override. */
export const LEAF = { READ: 1, WRITE: 2, SNOOP: 4 } as const

/** The walker of one unit. It changes nothing; the last answer stays in its fields. */
export class SecondStageWalk {
  /** First address of the leaf. */
  frameHi = 0
  frameLo = 0
  /** `LEAF` flags. */
  flags = 0
  /** Level of the leaf, or of the entry that ended the walk: 1 to 5. */
  level = 0
  /** The leaf is larger than a page and overlaps the interrupt window: only part of it may be used, so it is not cached. */
  partial = false
  readonly #memory: HostMemory
  readonly #words: HostMemory['words']
  readonly #coherent: boolean
  readonly #snoopMask: number
  /** QEMU refuses a leaf that touches the interrupt window anywhere, the specification an address inside. */
  readonly #wholeLeaf: boolean
  /** Bit n: an entry of level n with PS set is a leaf. */
  readonly #leafLevels: number
  readonly #reservedLo: number
  readonly #reservedHi: number

  constructor(memory: HostMemory, caps: Capabilities, wholeLeaf: boolean) {
    this.#memory = memory
    this.#words = memory.words
    this.#coherent = caps.coherent
    this.#snoopMask = caps.snoopControl ? SNP : 0
    this.#wholeLeaf = wholeLeaf
    const beyondHost = caps.haw < SS_ADDRESS_BITS ? mask64(SS_ADDRESS_BITS - 1, caps.haw)[1] : 0
    this.#reservedHi = beyondHost | (caps.deviceTlb ? 0 : TM)
    this.#reservedLo = caps.snoopControl ? 0 : SNP
    this.#leafLevels = (caps.superpages & 3) << 2
  }

  /**
   * Walks from the top table of a context entry. Constants are literals in here, see `VtdUnit.translate`.
   * @param context words of the context cache
   * @param at index of the entry among them
   * @returns 0 with the leaf in the fields, or a fault reason
   */
  walk(context: Int32Array, at: number, request: DmaRequest): number {
    const { iovaHi, iovaLo, access } = request
    const words = this.#words
    const leafLevels = this.#leafLevels
    const reservedLo = this.#reservedLo
    const reservedHi = this.#reservedHi
    const top = ctxLevels(context[at] as number)
    let lo = context[at + 1] as number
    let hi = context[at + 2] as number
    let permitted = 3
    for (let level = top; ; level--) {
      const index = tableIndex(level, iovaHi, iovaLo)
      // `chunkIndex` and `CHUNK_MASK`, as literals.
      const chunk = hi >>> 17 === 0 ? (hi << 14) | (lo >>> 18) : 0x7fff_ffff
      const table = chunk < words.length ? words[chunk] : undefined
      if (table !== undefined) {
        const word = ((lo & 0x3_ffff) >>> 2) | (index << 1)
        lo = table[word] as number
        hi = table[word + 1] as number
      } else if (this.#memory.loadEntry(hi, lo | (index << 3), this.#coherent)) {
        lo = this.#memory.entryLo
        hi = this.#memory.entryHi
      } else {
        this.level = level
        return level === top ? REASON.CONTEXT_INVALID : REASON.TABLE_UNREADABLE
      }
      permitted &= lo
      if ((permitted & access) !== access) {
        this.level = level
        return access & ~permitted & ACCESS.WRITE ? REASON.WRITE : REASON.READ
      }
      const isLeaf = level === 1 || ((lo & 0x80) !== 0 && ((leafLevels >>> level) & 1) !== 0)
      // PS in an entry that is no leaf is reserved, and so are the address bits inside a leaf.
      const own = isLeaf ? (level === 1 ? 0 : (OFFSET[level] as number) & ~0xfff) : 0x80
      if (((lo & (own | reservedLo)) | (hi & reservedHi)) !== 0) {
        this.level = level
        return REASON.PTE_RESERVED
      }
      hi &= 0xf_ffff
      if (isLeaf) {
        this.flags = permitted | ((lo & this.#snoopMask) >>> 9)
        return this.#found(level, hi, lo, iovaLo)
      }
      lo &= ~0xfff
    }
  }

  #found(level: number, hi: number, lo: number, iovaLo: number): number {
    const offset = OFFSET[level] as number
    this.level = level
    this.frameHi = hi
    this.frameLo = lo & ~offset
    this.partial = false
    if (hi !== 0 || lo >>> 30 !== 3) return 0
    return this.#nearInterruptWindow(level, iovaLo & offset)
  }
  /** The leaf lies in the gigabyte of 0xFEE00000-0xFEEFFFFF. */
  #nearInterruptWindow(level: number, within: number): number {
    const shift = level === 1 ? 20 : level === 2 ? 21 : 30
    if (this.frameLo >>> shift !== 0xfee0_0000 >>> shift) return OK
    this.partial = level > 1
    const refused = this.#wholeLeaf || (this.frameLo | within) >>> 20 === 0xfee
    return refused ? REASON.INTERRUPT_OUTPUT : OK
  }
}

/** Index into the table of a level, 1 for the last one. */
export function tableIndex(level: number, iovaHi: number, iovaLo: number): number {
  if (level === 1) return (iovaLo >>> 12) & 511
  if (level === 2) return (iovaLo >>> 21) & 511
  if (level === 3) return ((iovaHi << 2) | (iovaLo >>> 30)) & 511
  return (level === 4 ? iovaHi >>> 7 : iovaHi >>> 16) & 511
}
