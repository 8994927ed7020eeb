/** An ordered map to compare with: sorted-btree, by first address; values carry the last one. Addresses are numbers. */
import sortedBtree from 'sorted-btree'

export class BaselineMap {
  static label = 'sorted-btree'
  #tree = new sortedBtree.default()

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
