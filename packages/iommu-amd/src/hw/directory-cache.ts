/**
 * The cache of page directory entries: for each 2 MiB of a domain, which level-1 table its pages are in. It is why an
 * INVALIDATE_IOMMU_PAGES without PDE leaves a replaced table in use. Entries of higher levels are not kept.
 *
 * Eight words each, three spare: `[0]`, `[1]` first address of the 2 MiB, low and high · `[2]` domain id · `[3]` low word of the
 * table, with `VALID` and the permissions (as `ACCESS`) of the directory entries above it · `[4]` its high word.
 */
const SETS = 256
const WAYS = 4
const WORDS = SETS << 3
const VALID = 4

/** The directory cache of one unit. */
export class DirectoryCache {
  /** The table that the last `find` found. */
  tableHi = 0
  tableLo = 0
  /** Permissions that the directory entries leave. */
  permitted = 0
  readonly #words: Int32Array = new Int32Array(WAYS * WORDS)
  readonly #victims: Uint8Array = new Uint8Array(SETS)
  #used = false

  /** Looks up the level-1 table of an address. @returns whether it is held */
  find(domain: number, hi: number, lo: number): boolean {
    const words = this.#words
    const tag = lo & ~0x1f_ffff
    for (let at = setOf(domain, hi, lo); at < words.length; at += WORDS) {
      if (words[at] !== tag || words[at + 1] !== hi || words[at + 2] !== domain) continue
      const table = words[at + 3] as number
      if (table === 0) continue
      this.tableLo = table & ~0xfff
      this.tableHi = words[at + 4] as number
      this.permitted = table & 3
      return true
    }
    return false
  }
  /** Keeps the level-1 table of an address. */
  put(domain: number, hi: number, lo: number, tableHi: number, tableLo: number, permitted: number): void {
    const words = this.#words
    const first = setOf(domain, hi, lo)
    const tag = lo & ~0x1f_ffff
    let free = -1
    for (let at = first; at < words.length; at += WORDS) {
      if (words[at + 3] === 0) {
        if (free < 0) free = at
      } else if (words[at] === tag && words[at + 1] === hi && words[at + 2] === domain) {
        free = at
        break
      }
    }
    if (free < 0) {
      const way = this.#victims[first >>> 3] as number
      this.#victims[first >>> 3] = (way + 1) & 3
      free = first + way * WORDS
    }
    words[free] = tag
    words[free + 1] = hi
    words[free + 2] = domain
    words[free + 3] = tableLo | VALID | permitted
    words[free + 4] = tableHi
    this.#used = true
  }

  dropAll(): void {
    if (this.#used) this.#words.fill(0)
    this.#used = false
  }
  /** Drops the entries of a domain that overlap a naturally aligned range. @param order log2 of its bytes, 64 for all */
  dropRange(domain: number, hi: number, lo: number, order: number): void {
    if (!this.#used) return
    const words = this.#words
    if (order <= 21) {
      const tag = lo & ~0x1f_ffff
      for (let at = setOf(domain, hi, lo); at < words.length; at += WORDS)
        if (words[at] === tag && words[at + 1] === hi && words[at + 2] === domain) words[at + 3] = 0
      return
    }
    const maskHi = order <= 32 ? -1 : order >= 64 ? 0 : -1 << (order - 32)
    const maskLo = order >= 32 ? 0 : -1 << order
    for (let at = 0; at < words.length; at += 8) {
      const differs = (((words[at] as number) ^ lo) & maskLo) | (((words[at + 1] as number) ^ hi) & maskHi)
      if (differs === 0 && words[at + 2] === domain) words[at + 3] = 0
    }
  }
}

const setOf = (domain: number, hi: number, lo: number): number =>
  (((lo >>> 21) ^ hi ^ (Math.imul(domain, 0x9e37_79b1) >>> 16)) & (SETS - 1)) << 3
