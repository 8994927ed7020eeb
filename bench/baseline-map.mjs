/** Interval stores to compare with: sorted-btree, and a plain sorted array where that package is not installed. */
const Tree = await import('sorted-btree').then(
  (module) => module.default.default ?? module.default,
  () => undefined,
)

/** A B-tree by first address; values carry the last one. */
class TreeMap {
  static label = 'sorted-btree'
  #tree = new Tree()

  insert(first, last, value) {
    return this.#tree.setIfNotPresent(first, { last, value })
  }
  find(address) {
    const found = this.#tree.getPairOrNextLower(address)
    return found && found[1].last >= address ? found[1].value : undefined
  }
  remove(first) {
    return this.#tree.delete(first)
  }
}

/** Sorted arrays, moved on each change. */
class FlatMap {
  static label = 'sorted array'
  #firsts = []
  #entries = []

  insert(first, last, value) {
    const at = this.#above(first)
    this.#firsts.splice(at, 0, first)
    this.#entries.splice(at, 0, { last, value })
    return true
  }
  find(address) {
    const entry = this.#entries[this.#above(address) - 1]
    return entry && entry.last >= address ? entry.value : undefined
  }
  remove(first) {
    const at = this.#above(first) - 1
    this.#firsts.splice(at, 1)
    this.#entries.splice(at, 1)
    return true
  }
  #above(address) {
    let from = 0
    let to = this.#firsts.length
    while (from < to) {
      const mid = (from + to) >>> 1
      if (this.#firsts[mid] <= address) from = mid + 1
      else to = mid
    }
    return from
  }
}

/** What is at hand. `insert`, `find`, `remove` take addresses as numbers. */
export const BaselineMap = Tree ? TreeMap : FlatMap
