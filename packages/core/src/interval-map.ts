/**
 * Disjoint closed intervals over all 64-bit byte addresses, in order, each with a value.
 *
 * Two levels: leaves of up to 128 intervals in typed arrays, and a sorted directory of where each leaf begins. Bounds are two
 * words, stored with their top bits flipped so that signed comparison orders them; nothing is rounded. A leaf's directory key
 * stays put when its first interval goes: it is only a lower bound. Values stay where they were put, and the words say where:
 * moving a hundred references costs more than all the rest.
 */
import { hiWord, join, loWord, split } from './address.ts'

/** Intervals in a leaf at most. */
const LEAF = 128
const FLIP = 0x8000_0000 | 0

/** One interval as the bigint side gives it. */
export interface Interval<V> {
  readonly first: bigint
  /** Inclusive. */
  readonly last: bigint
  readonly value: V
}

class Leaf<V> {
  n = 0
  /** Five for each: hi, lo of the first and of the last address, flipped, and the index of the value; behind the n-th the free indexes. */
  readonly words: Int32Array = new Int32Array(5 * LEAF)
  readonly values: (V | undefined)[] = []

  constructor() {
    for (let i = 0; i < LEAF; i++) this.words[5 * i + 4] = i
  }
}

/**
 * A map from intervals to values. Words are int32 (hi, lo); after `seekWords`, `next`, `findWords` the interval found can be
 * read from `firstHi` to `lastLo` and `value` until the map changes.
 */
export class IntervalMap<V> {
  readonly #leaves: Leaf<V>[] = [new Leaf<V>()]
  #dirHi: Int32Array = new Int32Array(16).fill(FLIP)
  #dirLo: Int32Array = new Int32Array(16).fill(FLIP)
  #size = 0
  /** Where the cursor stands. */
  #leaf = 0
  #index = 0

  /** Number of intervals. */
  get size(): number {
    return this.#size
  }

  /**
   * Adds [first, last]. @returns false when something overlaps it; nothing changed then
   * @throws RangeError when last < first
   */
  insert(first: bigint, last: bigint, value: V): boolean {
    split(first)
    const hi = hiWord()
    const lo = loWord()
    split(last)
    return this.insertWords(hi, lo, hiWord(), loWord(), value)
  }
  /** The value whose interval contains `address`. */
  find(address: bigint): V | undefined {
    split(address)
    return this.findWords(hiWord(), loWord())
  }
  /** The value of the interval that is exactly [first, last]. */
  exact(first: bigint, last: bigint): V | undefined {
    split(first)
    const h = hiWord() ^ FLIP
    const l = loWord() ^ FLIP
    this.#locate(h, l)
    const { words, values } = this.#leaves[this.#leaf] as Leaf<V>
    const at = 5 * this.#index
    if (at < 0 || words[at] !== h || words[at + 1] !== l) return undefined
    split(last)
    const isExact = words[at + 2] === (hiWord() ^ FLIP) && words[at + 3] === (loWord() ^ FLIP)
    return isExact ? values[words[at + 4] as number] : undefined
  }
  /** Removes the interval that begins at `first`. @returns its value; undefined: none begins there */
  remove(first: bigint): V | undefined {
    split(first)
    return this.removeWords(hiWord(), loWord())
  }
  /** The first interval that overlaps [first, last]. */
  firstIn(first: bigint, last: bigint): Interval<V> | undefined {
    split(first)
    if (!this.seekWords(hiWord(), loWord())) return undefined
    const found = this.#here()
    return found.first <= last ? found : undefined
  }
  /** Intervals that overlap [first, last], in order; all without bounds. The map may not change while iterating. */
  *within(first = 0n, last: bigint = (1n << 64n) - 1n): Generator<Interval<V>, void, undefined> {
    split(first)
    let found = this.seekWords(hiWord(), loWord())
    while (found) {
      const leaf = this.#leaf
      const index = this.#index
      const interval = this.#here()
      if (interval.first > last) return
      yield interval
      this.#leaf = leaf
      this.#index = index
      found = this.next()
    }
  }
  /** What [first, last] leaves free, in order. */
  *gaps(
    first = 0n,
    last: bigint = (1n << 64n) - 1n,
  ): Generator<{ readonly first: bigint; readonly last: bigint }, void, undefined> {
    let free = first
    for (const interval of this.within(first, last)) {
      if (interval.first > free) yield { first: free, last: interval.first - 1n }
      free = interval.last + 1n
    }
    if (free <= last) yield { first: free, last }
  }
  /** Removes everything. */
  clear(): void {
    this.#leaves.length = 0
    this.#leaves.push(new Leaf<V>())
    this.#size = 0
  }

  /** As `insert`. @throws RangeError likewise */
  insertWords(firstHi: number, firstLo: number, lastHi: number, lastLo: number, value: V): boolean {
    const fh = firstHi ^ FLIP
    const fl = firstLo ^ FLIP
    const lh = lastHi ^ FLIP
    const ll = lastLo ^ FLIP
    if (lh < fh || (lh === fh && ll < fl)) throw new RangeError('interval-map: the last address lies before the first')
    this.#locate(fh, fl)
    let b = this.#leaf
    let leaf = this.#leaves[b] as Leaf<V>
    let i = this.#index
    if (this.#blocked(b, leaf, i, fh, fl, lh, ll)) return false
    if (leaf.n === LEAF) {
      const kept = this.#divide(b, leaf, i)
      if (i >= kept) {
        leaf = this.#leaves[++b] as Leaf<V>
        i -= kept
      }
    }
    put(leaf, i + 1, fh, fl, lh, ll, value)
    this.#size++
    return true
  }
  /** As `find`. */
  findWords(hi: number, lo: number): V | undefined {
    const h = hi ^ FLIP
    const l = lo ^ FLIP
    this.#locate(h, l)
    const leaf = this.#leaves[this.#leaf] as Leaf<V>
    const i = this.#index
    if (i < 0) return undefined
    const lastHi = leaf.words[5 * i + 2] as number
    if (lastHi < h || (lastHi === h && (leaf.words[5 * i + 3] as number) < l)) return undefined
    return leaf.values[leaf.words[5 * i + 4] as number]
  }
  /** As `remove`. */
  removeWords(firstHi: number, firstLo: number): V | undefined {
    const h = firstHi ^ FLIP
    const l = firstLo ^ FLIP
    this.#locate(h, l)
    const leaf = this.#leaves[this.#leaf] as Leaf<V>
    const i = this.#index
    if (i < 0 || leaf.words[5 * i] !== h || leaf.words[5 * i + 1] !== l) return undefined
    const value = take(leaf, i)
    this.#size--
    if (leaf.n < LEAF / 4) this.#thin(this.#leaf, leaf)
    return value
  }
  /** Puts the cursor on the first interval that ends at or above an address. @returns false when there is none */
  seekWords(hi: number, lo: number): boolean {
    const h = hi ^ FLIP
    const l = lo ^ FLIP
    this.#locate(h, l)
    const leaf = this.#leaves[this.#leaf] as Leaf<V>
    if (this.#index >= 0) {
      const lastHi = leaf.words[5 * this.#index + 2] as number
      if (lastHi > h || (lastHi === h && (leaf.words[5 * this.#index + 3] as number) >= l)) return true
    }
    return this.next()
  }
  /** Moves the cursor on. @returns false behind the last interval */
  next(): boolean {
    this.#index++
    while (this.#index >= (this.#leaves[this.#leaf] as Leaf<V>).n) {
      if (this.#leaf + 1 >= this.#leaves.length) return false
      this.#leaf++
      this.#index = 0
    }
    return true
  }
  /** Words of the interval under the cursor. */
  get firstHi(): number {
    return ((this.#leaves[this.#leaf] as Leaf<V>).words[5 * this.#index] as number) ^ FLIP
  }
  get firstLo(): number {
    return ((this.#leaves[this.#leaf] as Leaf<V>).words[5 * this.#index + 1] as number) ^ FLIP
  }
  get lastHi(): number {
    return ((this.#leaves[this.#leaf] as Leaf<V>).words[5 * this.#index + 2] as number) ^ FLIP
  }
  get lastLo(): number {
    return ((this.#leaves[this.#leaf] as Leaf<V>).words[5 * this.#index + 3] as number) ^ FLIP
  }
  /** Value of the interval under the cursor. */
  get value(): V {
    const leaf = this.#leaves[this.#leaf] as Leaf<V>
    return leaf.values[leaf.words[5 * this.#index + 4] as number] as V
  }

  #here(): Interval<V> {
    return { first: join(this.firstHi, this.firstLo), last: join(this.lastHi, this.lastLo), value: this.value }
  }
  /**
   * Puts the cursor on the last interval of the leaf for an address that begins at or below it; -1: none does. It is often there
   * already, or right behind: who inserts or removes has looked before.
   */
  #locate(h: number, l: number): void {
    const near = this.#leaves[this.#leaf]
    if (near && isBetween(near, this.#index, h, l)) return
    if (near && isBetween(near, this.#index - 1, h, l)) {
      this.#index--
      return
    }
    this.#leaf = this.#leafAt(h, l)
    const leaf = this.#leaves[this.#leaf] as Leaf<V>
    this.#index = below(leaf.words, leaf.n, h, l)
  }
  /**
   * The last leaf that begins at or below an address. Without a branch, because the CPU guesses every second one wrong; within a
   * leaf branches are better: it reads ahead along the one it guesses, and a leaf is often not in its cache.
   */
  #leafAt(h: number, l: number): number {
    const dirHi = this.#dirHi
    const dirLo = this.#dirLo
    let at = 0
    for (let left = this.#leaves.length - 1; left > 0;) {
      const half = (left + 1) >>> 1
      at += half & -isAtOrBelow(dirHi[at + half] as number, dirLo[at + half] as number, h, l)
      left -= half
    }
    return at
  }
  /** Whether the interval before the place (i) or the one behind it overlaps the new one. */
  #blocked(b: number, leaf: Leaf<V>, i: number, fh: number, fl: number, lh: number, ll: number): boolean {
    let before = leaf
    let at = i
    for (let left = b; at < 0 && left > 0;) {
      before = this.#leaves[--left] as Leaf<V>
      at = before.n - 1
    }
    if (at >= 0 && !isBelow(before.words, at, fh, fl)) return true
    let behind: Leaf<V> | undefined = leaf
    let next = i + 1
    for (let right = b; behind && next >= behind.n; next = 0) behind = this.#leaves[++right]
    return behind !== undefined && !isAbove(behind.words, next, lh, ll)
  }
  /** Splits a full leaf; appending leaves it nearly full. @returns intervals that stay in it */
  #divide(b: number, leaf: Leaf<V>, place: number): number {
    const kept = place === LEAF - 1 ? LEAF - 8 : LEAF / 2
    const right = new Leaf<V>()
    moveEnd(leaf, kept, right)
    const count = this.#leaves.length
    if (count === this.#dirHi.length) {
      this.#dirHi = doubled(this.#dirHi)
      this.#dirLo = doubled(this.#dirLo)
    }
    this.#dirHi.copyWithin(b + 2, b + 1, count)
    this.#dirLo.copyWithin(b + 2, b + 1, count)
    this.#dirHi[b + 1] = right.words[0] as number
    this.#dirLo[b + 1] = right.words[1] as number
    this.#leaves.splice(b + 1, 0, right)
    return kept
  }
  /** Joins a thin leaf with a neighbour when both together stay half empty. */
  #thin(b: number, leaf: Leaf<V>): void {
    const right = this.#leaves[b + 1]
    if (right && leaf.n + right.n <= LEAF / 2) return this.#merge(b, leaf, right)
    const left = b > 0 ? this.#leaves[b - 1] : undefined
    if (left && leaf.n + left.n <= LEAF / 2) this.#merge(b - 1, left, leaf)
  }
  #merge(b: number, left: Leaf<V>, right: Leaf<V>): void {
    moveEnd(right, 0, left)
    this.#leaves.splice(b + 1, 1)
    this.#dirHi.copyWithin(b + 1, b + 2)
    this.#dirLo.copyWithin(b + 1, b + 2)
  }
}

/** The last of n first addresses that lies at or below an address; -1: none. */
function below(words: Int32Array, n: number, h: number, l: number): number {
  let from = 0
  let to = n
  while (from < to) {
    const mid = (from + to) >>> 1
    const mh = words[5 * mid] as number
    if (mh < h || (mh === h && (words[5 * mid + 1] as number) <= l)) from = mid + 1
    else to = mid
  }
  return from - 1
}
/** 1 when (mh, ml) lies at or below (h, l), else 0. */
function isAtOrBelow(mh: number, ml: number, h: number, l: number): number {
  return Number(mh < h) | (Number(mh === h) & Number(ml <= l))
}
function isBelow(words: Int32Array, i: number, h: number, l: number): boolean {
  const wh = words[5 * i + 2] as number
  return wh < h || (wh === h && (words[5 * i + 3] as number) < l)
}
function isAbove(words: Int32Array, i: number, h: number, l: number): boolean {
  const wh = words[5 * i] as number
  return wh > h || (wh === h && (words[5 * i + 1] as number) > l)
}
/** Whether an address lies behind where interval i begins, and before the next one of the leaf. */
const isBetween = ({ words, n }: Leaf<unknown>, i: number, h: number, l: number): boolean =>
  i >= 0 && i + 1 < n && !isAbove(words, i, h, l) && isAbove(words, i + 1, h, l)
function put<V>(leaf: Leaf<V>, i: number, fh: number, fl: number, lh: number, ll: number, value: V | undefined): void {
  const { words } = leaf
  const n = leaf.n++
  const free = words[5 * n + 4] as number
  if (i < n) words.copyWithin(5 * i + 5, 5 * i, 5 * n)
  words[5 * i] = fh
  words[5 * i + 1] = fl
  words[5 * i + 2] = lh
  words[5 * i + 3] = ll
  words[5 * i + 4] = free
  leaf.values[free] = value
}
function take<V>(leaf: Leaf<V>, i: number): V | undefined {
  const { words, values } = leaf
  const n = --leaf.n
  const free = words[5 * i + 4] as number
  const value = values[free]
  values[free] = undefined
  if (i < n) words.copyWithin(5 * i, 5 * i + 5, 5 * n + 5)
  words[5 * n + 4] = free
  return value
}
/** Moves intervals from the i-th on behind those of another leaf. */
function moveEnd<V>(from: Leaf<V>, i: number, to: Leaf<V>): void {
  const { words, values } = from
  for (let k = i; k < from.n; k++) {
    const w = 5 * k
    const at = words[w + 4] as number
    put(
      to,
      to.n,
      words[w] as number,
      words[w + 1] as number,
      words[w + 2] as number,
      words[w + 3] as number,
      values[at],
    )
    values[at] = undefined
  }
  from.n = i
}
function doubled(array: Int32Array): Int32Array {
  const larger = new Int32Array(array.length * 2)
  larger.set(array)
  return larger
}
