/** Loads and stores at user addresses, by the process itself or by the kernel for it. */
import type { AccessSize } from '../memory/backing.ts'
import type { Frames } from './frames.ts'
import { NO_PAGE, ZERO_PAGE } from './page-object.ts'
import { UapiError } from '../errno.ts'
import type { Vma, VmaList } from './vma.ts'

/** @returns bytes read; fewer than asked: the next one is not mapped readable, or its memory failed */
export function copyFromUser(vmas: VmaList, frames: Frames, address: number, into: Uint8Array): number {
  return byMapping(vmas, frames, address, into, false)
}

/** @returns bytes written; fewer than given: the next one is not mapped writable, or its memory failed */
export function copyToUser(vmas: VmaList, frames: Frames, address: number, from: Uint8Array): number {
  return byMapping(vmas, frames, address, from, true)
}

function readPiece(vma: Vma, frames: Frames, at: number, part: Uint8Array): number {
  if (!vma.read && !vma.write) return 0
  const { target } = vma
  if (target.kind === 'window') return loadWindow(target.window, target.offset + at - vma.first, part)
  const within = at & frames.pageMask
  const page = target.object.peek(target.firstPage + (at - within - vma.first) / frames.pageBytes)
  if (page === NO_PAGE) return 0
  if (page !== ZERO_PAGE) return frames.cpu.read(page + within, part)
  part.fill(0)
  return part.length
}

function writePiece(vma: Vma, frames: Frames, at: number, part: Uint8Array): number {
  if (!vma.write) return 0
  const { target } = vma
  if (target.kind === 'window') return storeWindow(target.window, target.offset + at - vma.first, part)
  const within = at & frames.pageMask
  const page = faultOrNone(target.object, target.firstPage + (at - within - vma.first) / frames.pageBytes)
  return page === NO_PAGE ? 0 : frames.cpu.write(page + within, part)
}

/** Splits a range at pages and mappings; stops at the first piece that is not done whole. */
function byMapping(vmas: VmaList, frames: Frames, address: number, bytes: Uint8Array, write: boolean): number {
  const length = bytes.length
  const { pageBytes, pageMask } = frames
  let done = 0
  while (done < length) {
    const at = address + done
    const vma = vmas.at(at)
    if (!vma) break
    const n = Math.min(length - done, pageBytes - (at & pageMask))
    const part = n === length ? bytes : bytes.subarray(done, done + n)
    const got = write ? writePiece(vma, frames, at, part) : readPiece(vma, frames, at, part)
    done += got
    if (got < n) break
  }
  return done
}

/** Memory that cannot be had looks to a copy like memory that is not there. */
export function faultOrNone(object: { fault(index: number): number }, index: number): number {
  try {
    return object.fault(index)
  } catch (error) {
    if (error instanceof UapiError) return NO_PAGE
    throw error
  }
}

interface Window {
  load(offset: number, size: AccessSize): bigint | undefined
  store(offset: number, size: AccessSize, value: bigint): boolean
}

function loadWindow(window: Window, offset: number, into: Uint8Array): number {
  for (let done = 0; done < into.length;) {
    const size = accessSize(offset + done, into.length - done)
    let value = window.load(offset + done, size)
    if (value === undefined) return done
    for (let i = 0; i < size; i++, value >>= 8n) into[done + i] = Number(value & 0xffn)
    done += size
  }
  return into.length
}

function storeWindow(window: Window, offset: number, from: Uint8Array): number {
  for (let done = 0; done < from.length;) {
    const size = accessSize(offset + done, from.length - done)
    let value = 0n
    for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(from[done + i] as number)
    if (!window.store(offset + done, size, value)) return done
    done += size
  }
  return from.length
}

/** The widest aligned access of at most `left` bytes. */
function accessSize(offset: number, left: number): AccessSize {
  if (offset % 8 === 0 && left >= 8) return 8
  if (offset % 4 === 0 && left >= 4) return 4
  return offset % 2 === 0 && left >= 2 ? 2 : 1
}
