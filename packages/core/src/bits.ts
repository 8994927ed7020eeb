/** Bit fields of 64-bit little-endian words that are held as two 32-bit words. */

/** A field written [hi:lo] as specifications print it, stored ready to extract. */
export interface Field {
  readonly hi: number
  readonly lo: number
  /** 0: the field lies in bits 31:0; 1: in bits 63:32. */
  readonly word: 0 | 1
  readonly shift: number
  /** Unshifted mask, `(1 << width) - 1`. */
  readonly mask: number
}

/**
 * Declares bits [hi:lo] of a 64-bit word; `lo` is `hi` when left out. A field must not straddle bit 32: addresses use `pageHi`, `pageLo`.
 * @throws RangeError when it straddles bit 32 or the order is wrong
 */
export function field(hi: number, lo: number = hi): Field {
  const word = lo >>> 5
  if (hi < lo || hi > 63 || hi >>> 5 !== word) throw new RangeError(`field [${hi}:${lo}] is not inside one 32-bit word`)
  return Object.freeze({ hi, lo, word: word as 0 | 1, shift: lo & 31, mask: (2 ** (hi - lo + 1) - 1) | 0 })
}

/** The field's value, as an unsigned number. */
export const get = (f: Field, lo: number, hi: number): number => (((f.word === 0 ? lo : hi) >>> f.shift) & f.mask) >>> 0

/** `word` (the half of the entry that `f.word` names) with the field set to `value`; the value is masked. */
export const put = (f: Field, word: number, value: number): number =>
  (word & ~(f.mask << f.shift)) | ((value & f.mask) << f.shift)

/** The field's bits in place within its 32-bit half, as int32: for tests of one bit without shifting. */
export const bitsOf = (f: Field): number => f.mask << f.shift

/**
 * Mask of bits [hi:lo] of a 64-bit word, as two int32 words.
 * @returns `[low word, high word]`
 */
export function mask64(hi: number, lo: number): readonly [lo: number, hi: number] {
  const mask = ((1n << BigInt(hi - lo + 1)) - 1n) << BigInt(lo)
  return [Number(BigInt.asIntN(32, mask)), Number(BigInt.asIntN(32, mask >> 32n))]
}
