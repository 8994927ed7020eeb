/** The mock's walk of a page table, as its hardware would do it. Shares nothing with the writer of tables but the format's data. */
import { type HostMemory, hpaHi, hpaLo, hpaOf, type Hpa } from '@ioasis/core'

/** Levels of every table, and what an entry looks like: spec/format.ts, in words. */
const TOP = 2
const GRANULE = 11
const PRESENT = 1
const DIRTY = 1 << 6
const NEXT_SHIFT = 7
const LARGER = 7
/** Bits 50:32 and 31:11 of an address. */
const ADDRESS_HI = 0x7_ffff
const ADDRESS_LO = ~0x7ff

/** Walks one table at a time; the result stays until the next walk. */
export class Walk {
  readonly #memory: HostMemory
  /** The leaf that was found. */
  lo = 0
  hi = 0
  /** log2 of its page. */
  shift = 0
  #at: Hpa = 0

  constructor(memory: HostMemory) {
    this.#memory = memory
  }

  /** @returns whether something is mapped there */
  find(root: Hpa, iovaHi: number, iovaLo: number): boolean {
    // Above 2^38 no index selects.
    if (iovaHi >>> 6 !== 0) return false
    let table = root
    for (let level = TOP; level >= 0; level--) {
      const shift = GRANULE + 9 * level
      this.#at = table + indexAt(shift, iovaHi, iovaLo) * 8
      if (!this.#load(this.#at)) return false
      const next = (this.lo >>> NEXT_SHIFT) & 7
      if (next === 0 || next === LARGER) {
        this.shift = next === 0 ? shift : this.#largerShift()
        return true
      }
      table = hpaOf(this.hi & ADDRESS_HI, this.lo & ADDRESS_LO)
    }
    return false
  }
  /** Host address of an iova in the page that was found. */
  target(iovaHi: number, iovaLo: number): Hpa {
    const { shift } = this
    const hi = this.hi & ADDRESS_HI
    const lo = this.lo & ADDRESS_LO
    if (shift >= 32) {
      const mask = (1 << (shift - 32)) - 1
      return hpaOf((hi & ~mask) | (iovaHi & mask), iovaLo)
    }
    const mask = (1 << shift) - 1
    return hpaOf(hi, (lo & ~mask) | (iovaLo & mask))
  }
  /** Bytes from an iova to the end of the page that was found; never more than 2^31. */
  bytesToEnd(iovaLo: number): number {
    if (this.shift > 31) return 0x8000_0000 - (iovaLo & 0x7fff_ffff)
    return 2 ** this.shift - ((iovaLo & (2 ** this.shift - 1)) >>> 0)
  }
  /** Marks the entry that was walked, and it alone: a page of several entries has several marks. */
  markDirty(): void {
    this.#memory.storeEntry(hpaHi(this.#at), hpaLo(this.#at), this.lo | DIRTY, this.hi, true)
  }

  /** The size of a larger page stands in its address: ones up to a zero just below its middle bit. */
  #largerShift(): number {
    let shift = GRANULE + 1
    while (((shift <= 32 ? this.lo >>> (shift - 1) : this.hi >>> (shift - 33)) & 1) === 1) shift++
    return shift
  }
  #load(hpa: Hpa): boolean {
    const memory = this.#memory
    if (!memory.loadEntry(hpaHi(hpa), hpaLo(hpa), true)) return false
    this.lo = memory.entryLo
    this.hi = memory.entryHi
    return (this.lo & PRESENT) !== 0
  }
}

function indexAt(shift: number, hi: number, lo: number): number {
  return ((lo >>> shift) | (hi << (32 - shift))) & 0x1ff
}
