/** What one process sees at its addresses (`struct mm_struct`). */
import { hiWord, loWord, split, type Uva } from '../address.ts'
import { UapiError } from '../errno.ts'
import type { TrappedWindow } from '../memory/backing.ts'
import type { Frames } from './frames.ts'
import { LockedPages } from './locked-pages.ts'
import { PrivatePages, SharedPages } from './memory-pages.ts'
import type { PageObject } from './page-object.ts'
import { type PageRunList, pinPages } from './pins.ts'
import { RecentPage } from './recent-page.ts'
import { letGo, type MappedFile, type Vma, VmaList, type VmaTarget } from './vma.ts'

/** First address that is the kernel's: TASK_SIZE of x86-64 with 4 levels, less a guard of 64 KiB for any page size. */
export const USER_LIMIT: number = 2 ** 47 - 65536
/** Where mappings go, downwards, when the caller names no place. */
const MMAP_BASE = 0x7fff_f000_0000

/** What mmap(2) maps and where. */
export interface MmapOptions {
  /** Rounded up to whole pages. */
  readonly bytes: number | bigint
  /** The exact place (MAP_FIXED): what was mapped there goes. Absent: the kernel chooses. */
  readonly uva?: Uva
  /** With `uva`: EEXIST when something is mapped there (MAP_FIXED_NOREPLACE). */
  readonly noReplace?: boolean
  /** Default true. */
  readonly read?: boolean
  /** Default true. */
  readonly write?: boolean
  /** Writes are seen by all who map the object. Default: private. */
  readonly shared?: boolean
  /** Bytes of a huge page for anonymous memory (MAP_HUGETLB), e.g. 2 MiB. */
  readonly huge?: number
  /** Pages of a file; absent: anonymous memory. */
  readonly object?: PageObject
  /** First page of `object`, or first byte of `window` divided by the page size. */
  readonly firstPage?: number
  /** Registers in place of pages: loads and stores are trapped. */
  readonly window?: TrappedWindow
  /** The open file behind `object` or `window`: the mapping holds it. */
  readonly file?: MappedFile
}

/** An address space. It outlives its process while a file holds it, but has no mappings then. */
export class AddressSpace {
  readonly frames: Frames
  /** `mm->locked_vm`, charged against RLIMIT_MEMLOCK. */
  readonly locked: LockedPages = new LockedPages()
  /** `mm->pinned_vm`: pages pinned for devices, not limited. Whoever pins keeps it. */
  pinnedPages = 0
  readonly #vmas: VmaList
  readonly #recent: RecentPage
  #alive = true

  /** @param frames the pages of the host */
  constructor(frames: Frames) {
    this.frames = frames
    this.#vmas = new VmaList(frames.pageBytes)
    this.#recent = new RecentPage(this.#vmas, frames)
  }

  /** Bytes of one page. */
  get pageBytes(): number {
    return this.frames.pageBytes
  }
  /** False once its process exited or ran another program: nothing can be mapped, copied or pinned any more. */
  get alive(): boolean {
    return this.#alive
  }
  /** The mappings, in order, as /proc/PID/maps lists them. */
  get mappings(): readonly Vma[] {
    return this.#vmas.all
  }

  /**
   * mmap(2).
   * @returns where it is mapped
   * @throws UapiError EINVAL for no bytes or an unaligned place, EEXIST with `noReplace`, ENOMEM beyond the user's half
   */
  mmap(options: MmapOptions): Uva {
    const unit = this.#unitOf(options)
    const bytes = Math.ceil(Number(options.bytes) / unit) * unit
    const first = this.#place(options, bytes, unit)
    this.#remove(first, first + bytes)
    const { read = true, write = true, shared = false, file } = options
    const target = this.#targetOf(options, bytes, unit)
    this.#vmas.add({ first, end: first + bytes, read, write, shared, dontFork: false, target, ...(file && { file }) })
    // The mapping holds the object now; a shared one that was made for it has no open file.
    if (shared && !options.object && target.kind === 'pages') target.object.release()
    return BigInt(first)
  }
  /** munmap(2): holes in the range are fine. @throws UapiError EINVAL for an unaligned place, or a huge page cut in part */
  munmap(uva: Uva, bytes: number | bigint): void {
    const [first, end] = this.#range('munmap', uva, bytes)
    this.#refuseHugeCut('munmap', first, end)
    this.#remove(first, end)
  }
  /** mprotect(2). @throws UapiError EINVAL as `munmap`, ENOMEM when part of the range is not mapped; nothing changed then */
  protect(uva: Uva, bytes: number | bigint, how: { readonly read: boolean; readonly write: boolean }): void {
    const [first, end] = this.#range('mprotect', uva, bytes)
    this.#refuseHugeCut('mprotect', first, end)
    if (!this.#vmas.covers(first, end)) throw new UapiError('ENOMEM', 'mprotect', { uva, bytes })
    this.#replace(first, end, (vma) => ({ ...vma, ...how }))
  }
  /**
   * madvise(2) as far as it matters to devices: `dontneed` gives private pages up (a device keeps the pinned ones, the process
   * gets new ones), `dontfork` and `dofork` say whether a child inherits the range.
   * @throws UapiError EINVAL, ENOMEM as `protect`
   */
  advise(uva: Uva, bytes: number | bigint, advice: 'dontneed' | 'dontfork' | 'dofork'): void {
    const [first, end] = this.#range('madvise', uva, bytes)
    this.#refuseHugeCut('madvise', first, end)
    if (!this.#vmas.covers(first, end)) throw new UapiError('ENOMEM', 'madvise', { uva, bytes })
    if (advice !== 'dontneed') this.#replace(first, end, (vma) => ({ ...vma, dontFork: advice === 'dontfork' }))
    else
      for (const vma of this.#vmas.within(first, end))
        this.#discard(this.#vmas.part(vma, Math.max(vma.first, first), Math.min(vma.end, end)))
  }

  /**
   * copy_from_user().
   * @param words the bytes of `into` as words, where its owner has them so: a small copy then moves words
   * @returns bytes read; fewer than asked means EFAULT at the next one
   */
  copyIn(uva: Uva, into: Uint8Array, words?: Int32Array): number {
    const address = addressOf(uva)
    return address < USER_LIMIT ? this.#recent.read(address, into, words) : 0
  }
  /** copy_to_user(). @param words as `copyIn` @returns bytes written; fewer than given means EFAULT at the next one */
  copyOut(uva: Uva, from: Uint8Array, words?: Int32Array): number {
    const address = addressOf(uva)
    return address < USER_LIMIT ? this.#recent.write(address, from, words) : 0
  }

  /**
   * pin_user_pages(FOLL_LONGTERM): pins pages from the one that holds `uva` on.
   * @param how `write`: the device will write; else it only reads
   * @param into the pages are appended here; give them to `unpinPages` later, whatever became of this address space
   * @returns pages pinned: fewer than asked when a later one cannot be had, at least 1
   * @throws UapiError when not even the first can be pinned: EFAULT at a hole, at registers, without the right; ENOMEM
   */
  pin(uva: Uva, pages: number, how: { readonly write: boolean }, into: PageRunList): number {
    const size = this.pageBytes
    const first = uva >= 0n && uva < USER_LIMIT ? Math.floor(Number(uva) / size) * size : USER_LIMIT
    for (let done = 0; done < pages;) {
      const at = first + done * size
      const vma = this.#vmas.at(at)
      const target = vma && (how.write ? vma.write : vma.read) ? vma.target : undefined
      if (!vma || target?.kind !== 'pages' || !target.object.pinnable) {
        if (done > 0) return done
        throw new UapiError('EFAULT', 'pin', { uva, pages, write: how.write ? 1 : 0 })
      }
      const wanted = Math.min(pages - done, (vma.end - at) / size)
      const got = this.#pinSome(target.object, target.firstPage + (at - vma.first) / size, wanted, into, done > 0)
      done += got
      if (got < wanted) return done
    }
    return pages
  }
  /** The mapping that holds an address: what a pin cannot reach (a window) and what identifies a page (object, index). */
  at(uva: Uva): { readonly vma: Vma; readonly target: VmaTarget } | undefined {
    const address = uva >= 0n && uva < USER_LIMIT ? Number(uva) : USER_LIMIT
    const vma = this.#vmas.at(address)
    if (!vma) return undefined
    const page = address - (address % this.pageBytes)
    return { vma, target: this.#vmas.part(vma, page, vma.end).target }
  }

  /**
   * The address space of a child: shared mappings are shared, private memory is copied on write; pinned pages stay with the
   * parent and the child gets copies at once. Locked and pinned counts start at 0.
   * @throws UapiError ENOMEM; nothing is left behind then
   */
  fork(): AddressSpace {
    const child = new AddressSpace(this.frames)
    const copies = new Map<PageObject, PageObject>()
    try {
      for (const vma of this.#vmas.all) {
        if (!vma.dontFork) child.#vmas.add({ ...vma, target: inherited(vma.target, copies) })
      }
    } catch (error) {
      child.destroy()
      throw error
    }
    for (const { target, first, end, dontFork } of this.#vmas.all) {
      const copy = dontFork && target.kind === 'pages' ? copies.get(target.object) : undefined
      if (target.kind === 'pages') copy?.discard?.(target.firstPage, (end - first) / this.pageBytes)
    }
    return child
  }
  /** The process exited or runs another program: everything is unmapped. Pinned pages stay with those who pinned them. */
  destroy(): void {
    this.#alive = false
    this.#remove(0, USER_LIMIT)
  }

  #unitOf({ bytes, huge, object }: MmapOptions): number {
    const unit = object ? object.blockPages * this.pageBytes : (huge ?? this.pageBytes)
    if (!this.#alive) throw new UapiError('EINVAL', 'mmap', { bytes, space: 'gone' })
    if (Number(bytes) <= 0 || unit % this.pageBytes !== 0) throw new UapiError('EINVAL', 'mmap', { bytes })
    return unit
  }
  #place({ uva, noReplace }: MmapOptions, bytes: number, unit: number): number {
    if (uva === undefined) {
      const first = this.#vmas.freeBelow(MMAP_BASE, bytes, unit)
      if (first === undefined) throw new UapiError('ENOMEM', 'mmap', { bytes })
      return first
    }
    if (uva < 0n || uva > USER_LIMIT - bytes) throw new UapiError('ENOMEM', 'mmap', { uva, bytes })
    const first = Number(uva)
    if (first % unit !== 0) throw new UapiError('EINVAL', 'mmap', { uva, bytes })
    this.#refuseHugeCut('mmap', first, first + bytes)
    if (noReplace === true && this.#vmas.within(first, first + bytes).length > 0) {
      throw new UapiError('EEXIST', 'mmap', { uva, bytes })
    }
    return first
  }
  #targetOf(options: MmapOptions, bytes: number, unit: number): VmaTarget {
    const { object, window, shared = false, firstPage = 0 } = options
    if (window) return { kind: 'window', window, offset: firstPage * this.pageBytes }
    if (object && shared) return { kind: 'pages', object, firstPage }
    const anonymous = { name: 'anonymous', bytes, huge: unit }
    if (shared) return { kind: 'pages', object: new SharedPages(this.frames, anonymous), firstPage: 0 }
    const base = object ? { object, firstPage } : undefined
    return { kind: 'pages', object: new PrivatePages(this.frames, unit / this.pageBytes, base), firstPage: 0 }
  }
  #range(operation: string, uva: Uva, bytes: number | bigint): readonly [first: number, end: number] {
    const size = this.pageBytes
    const length = Math.ceil(Number(bytes) / size) * size
    if (length <= 0 || uva < 0n || uva > USER_LIMIT - length || uva % BigInt(size) !== 0n) {
      throw new UapiError('EINVAL', operation, { uva, bytes })
    }
    return [Number(uva), Number(uva) + length]
  }
  /** A huge page is mapped whole or not at all (mm/hugetlb.c hugetlb_vm_op_split). */
  #refuseHugeCut(operation: string, first: number, end: number): void {
    for (const edge of [first, end]) {
      const vma = this.#vmas.at(edge)
      if (!vma || vma.target.kind !== 'pages') continue
      if ((edge - vma.first) % (vma.target.object.blockPages * this.pageBytes) !== 0) {
        throw new UapiError('EINVAL', operation, { uva: edge, hugePage: vma.target.object.blockPages * this.pageBytes })
      }
    }
  }
  #remove(first: number, end: number): void {
    for (const part of this.#vmas.cut(first, end)) {
      this.#discard(part)
      letGo(part)
    }
  }
  #replace(first: number, end: number, change: (vma: Vma) => Vma): void {
    for (const part of this.#vmas.cut(first, end)) {
      this.#vmas.add(change(part))
      letGo(part)
    }
  }
  #discard({ target, first, end }: Vma): void {
    if (target.kind === 'pages') target.object.discard?.(target.firstPage, (end - first) / this.pageBytes)
  }
  #pinSome(object: PageObject, index: number, count: number, into: PageRunList, some: boolean): number {
    try {
      return pinPages(this.frames, object, index, count, into)
    } catch (error) {
      if (some && error instanceof UapiError) return 0
      throw error
    }
  }
}

/** A user address as a number; one of the kernel's may lose low bits, but stays beyond the limit. */
function addressOf(uva: Uva): number {
  split(uva)
  return (hiWord() >>> 0) * 0x1_0000_0000 + (loWord() >>> 0)
}

function inherited(target: VmaTarget, copies: Map<PageObject, PageObject>): VmaTarget {
  if (target.kind === 'window' || !target.object.fork) return target
  const copy = copies.get(target.object) ?? target.object.fork()
  copies.set(target.object, copy)
  return { ...target, object: copy }
}
