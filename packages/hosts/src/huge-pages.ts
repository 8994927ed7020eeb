/** The pool of huge pages of a POWER kernel: set aside by /proc/sys/vm/nr_hugepages, used by what processes map. mm/hugetlb.c. */
import type { AddressSpace } from '@ioasis/core'

/** Path of the file by which pages are set aside. */
export const NR_HUGEPAGES = '/proc/sys/vm/nr_hugepages'

/** Huge pages of one host. */
export class HugePages {
  /** Bytes of one. */
  readonly bytes: number
  readonly #most: number
  #total = 0

  /** @param ram bytes: more than fit are not set aside */
  constructor(bytes: number, ram: number) {
    this.bytes = bytes
    this.#most = Math.floor(ram / bytes)
  }
  /** How many were set aside. */
  get total(): number {
    return this.#total
  }
  /** Writes `nr_hugepages`. */
  setAside(text: string): void {
    const wanted = Math.max(0, Math.floor(Number(text)))
    if (Number.isFinite(wanted)) this.#total = Math.min(wanted, this.#most)
  }
  /** Free ones, and those of them that are promised to mappings which were not touched yet. */
  use(space: AddressSpace): { readonly free: number; readonly reserved: number } {
    let [mapped, present] = [0, 0]
    for (const { first, end, target } of space.mappings) {
      if (target.kind !== 'pages' || target.object.blockPages === 1) continue
      const blocks = (end - first) / this.bytes
      mapped += blocks
      for (let i = 0; i < blocks; i++)
        if (target.object.peek(target.firstPage + i * target.object.blockPages) > 0) present++
    }
    return { free: this.#total - present, reserved: mapped - present }
  }
}
