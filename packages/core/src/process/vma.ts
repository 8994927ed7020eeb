/** The mappings of one address space, in order. */
import type { TrappedWindow } from '../memory/backing.ts'
import type { PageObject } from './page-object.ts'

/** One mapping (`struct vm_area_struct`). Addresses are numbers: user addresses end far below 2^53. */
export interface Vma {
  readonly first: number
  /** Exclusive. */
  readonly end: number
  readonly read: boolean
  readonly write: boolean
  readonly shared: boolean
  /** A child does not inherit it (MADV_DONTFORK). */
  readonly dontFork: boolean
  readonly target: VmaTarget
  /** The open file it was made from (`vm_file`): it lives as long as any part of the mapping. Absent: anonymous memory. */
  readonly file?: MappedFile
}

/** An open file description, as mappings hold it. */
export interface MappedFile {
  get(): unknown
  put(): void
}

/** What a mapping shows. */
export type VmaTarget =
  | { readonly kind: 'pages'; readonly object: PageObject; readonly firstPage: number }
  | { readonly kind: 'window'; readonly window: TrappedWindow; readonly offset: number }

/** Sorted, disjoint mappings. */
export class VmaList {
  readonly #list: Vma[] = []
  readonly #pageBytes: number
  #last: Vma | undefined
  /** Counts changes of the list. */
  changes = 0

  constructor(pageBytes: number) {
    this.#pageBytes = pageBytes
  }

  /** All mappings, in order. */
  get all(): readonly Vma[] {
    return this.#list
  }
  /** The mapping that holds an address. */
  at(address: number): Vma | undefined {
    const last = this.#last
    if (last && address >= last.first && address < last.end) return last
    const vma = this.#list[this.#search(address)]
    return vma && vma.first <= address ? (this.#last = vma) : undefined
  }
  /** Mappings that touch [first, end), in order. */
  within(first: number, end: number): readonly Vma[] {
    const from = this.#search(first)
    let to = from
    while (to < this.#list.length && (this.#list[to] as Vma).first < end) to++
    return this.#list.slice(from, to)
  }
  /** Whether every byte of [first, end) is mapped. */
  covers(first: number, end: number): boolean {
    let at = first
    for (const vma of this.within(first, end)) {
      if (vma.first > at) break
      at = vma.end
    }
    return at >= end
  }
  /** Adds a mapping where nothing is mapped; its object and its file are held. */
  add(vma: Vma): void {
    this.changes++
    this.#list.splice(this.#search(vma.first), 0, vma)
    hold(vma)
  }
  /** Takes [first, end) out, cutting mappings at its ends; objects and files of the parts are released by the caller with `letGo`. */
  cut(first: number, end: number): readonly Vma[] {
    this.#last = undefined
    this.changes++
    const touched = this.within(first, end)
    if (touched.length === 0) return []
    const parts: Vma[] = []
    const kept: Vma[] = []
    for (const vma of touched) {
      if (vma.first < first) kept.push(this.part(vma, vma.first, first))
      parts.push(this.part(vma, Math.max(vma.first, first), Math.min(vma.end, end)))
      if (vma.end > end) kept.push(this.part(vma, end, vma.end))
    }
    this.#list.splice(this.#search(first), touched.length, ...kept)
    // Each mapping held its object and file once; one that became several pieces holds them once for each piece.
    for (const piece of [...kept, ...parts]) hold(piece)
    for (const vma of touched) letGo(vma)
    return parts
  }
  /** The part [first, end) of a mapping. */
  part(vma: Vma, first: number, end: number): Vma {
    const skipped = first - vma.first
    const { target } = vma
    return {
      ...vma,
      first,
      end,
      target:
        target.kind === 'pages'
          ? { ...target, firstPage: target.firstPage + skipped / this.#pageBytes }
          : { ...target, offset: target.offset + skipped },
    }
  }
  /** The highest free range of `bytes` that ends at or below `top`. @param align its start is a multiple. @returns undefined: none */
  freeBelow(top: number, bytes: number, align: number): number | undefined {
    let end = top
    for (let i = this.#list.length - 1; ; i--) {
      const below = this.#list[i]
      if (below && below.first >= end) continue
      const first = Math.floor((end - bytes) / align) * align
      if (first >= (below?.end ?? align)) return first
      if (!below) return undefined
      end = below.first
    }
  }

  /** Index of the first mapping that ends above `address`. */
  #search(address: number): number {
    let lo = 0
    let hi = this.#list.length
    while (lo < hi) {
      const mid = (lo + hi) >>> 1
      if ((this.#list[mid] as Vma).end > address) hi = mid
      else lo = mid + 1
    }
    return lo
  }
}

function hold({ target, file }: Vma): void {
  if (target.kind === 'pages') target.object.hold()
  file?.get()
}

/** Lets a part that was cut out go. The last part of a file's mappings may close the file. */
export function letGo({ target, file }: Vma): void {
  if (target.kind === 'pages') target.object.release()
  file?.put()
}
