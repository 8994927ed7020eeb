/**
 * Small copies remember the page they went to: the structs of a program's system calls lie in one page, and finding it
 * (mapping, object, page, memory) takes longer than the copy. What may make it wrong is counted where it happens.
 */
import { CHUNK_BYTES, CHUNK_MASK } from '../memory/host-memory.ts'
import type { Frames } from './frames.ts'
import { copyFromUser, copyToUser, faultOrNone } from './user-copy.ts'
import { NO_PAGE, ZERO_PAGE } from './page-object.ts'
import type { VmaList } from './vma.ts'

/** Copies from and to one address space. */
export class RecentPage {
  readonly #vmas: VmaList
  readonly #frames: Frames
  /** User addresses [first, end) are what `#bytes` holds from `#offset` on. */
  #first = 0
  #end = 0
  #bytes: Uint8Array | undefined
  /** The raw view, and its number: registers that are laid over memory hide it. */
  #words: Int32Array | undefined
  #chunk = 0
  #offset = 0
  #writable = false
  #vmaChanges = -1
  #frameChanges = -1

  constructor(vmas: VmaList, frames: Frames) {
    this.#vmas = vmas
    this.#frames = frames
  }

  /** As `copyFromUser`. @param words the bytes of `into` as words, where its owner has them so */
  read(address: number, into: Uint8Array, words?: Int32Array): number {
    const bytes = into.length
    // Beyond a few words a copy by view is quicker than a loop, and finding the page counts for little.
    if (bytes > 64 || !this.#covers(address, bytes, false)) return copyFromUser(this.#vmas, this.#frames, address, into)
    let at = this.#offset + (address - this.#first)
    if (words !== undefined && (at & 3) === 0 && words.byteLength === bytes) {
      copyWords(this.#words as Int32Array, at >>> 2, words, 0, words.length)
      return bytes
    }
    const from = this.#bytes as Uint8Array
    for (let i = 0; i < bytes; i++) into[i] = from[at++] as number
    return bytes
  }
  /** As `copyToUser`. @param words the bytes of `from` as words, where its owner has them so */
  write(address: number, from: Uint8Array, words?: Int32Array): number {
    const bytes = from.length
    if (bytes > 64 || !this.#covers(address, bytes, true)) return copyToUser(this.#vmas, this.#frames, address, from)
    let at = this.#offset + (address - this.#first)
    if (words !== undefined && (at & 3) === 0 && words.byteLength === bytes) {
      copyWords(words, 0, this.#words as Int32Array, at >>> 2, words.length)
      return bytes
    }
    const into = this.#bytes as Uint8Array
    for (let i = 0; i < bytes; i++) into[at++] = from[i] as number
    return bytes
  }

  /** Whether the recent page, or the one that becomes it, holds all of a range. */
  #covers(address: number, bytes: number, write: boolean): boolean {
    const stands =
      this.#vmaChanges === this.#vmas.changes &&
      this.#frameChanges === this.#frames.changes &&
      this.#frames.cpu.words[this.#chunk] === this.#words &&
      address >= this.#first &&
      address < this.#end &&
      (this.#writable || !write)
    return (stands || this.#look(address, write)) && address + bytes <= this.#end
  }
  /** @returns whether the page of an address has become the recent one: memory with a raw view */
  #look(address: number, write: boolean): boolean {
    const { pageBytes, pageMask, cpu } = this.#frames
    const vma = this.#vmas.at(address)
    if (vma?.target.kind !== 'pages' || !(vma.write || (vma.read && !write))) return false
    const { object, firstPage } = vma.target
    const first = address - (address & pageMask)
    const index = firstPage + (first - vma.first) / pageBytes
    const page = write ? faultOrNone(object, index) : object.peek(index)
    const chunk = Math.floor(page / CHUNK_BYTES)
    const words = page !== NO_PAGE && page !== ZERO_PAGE && chunk < cpu.words.length ? cpu.words[chunk] : undefined
    if (!words) return false
    this.#first = first
    this.#end = first + pageBytes
    this.#words = words
    this.#chunk = chunk
    this.#bytes = new Uint8Array(words.buffer)
    this.#offset = page & CHUNK_MASK
    this.#writable = write
    this.#vmaChanges = this.#vmas.changes
    this.#frameChanges = this.#frames.changes
    return true
  }
}

function copyWords(from: Int32Array, start: number, to: Int32Array, at: number, count: number): void {
  for (let i = 0; i < count; i++) to[at + i] = from[start + i] as number
}
