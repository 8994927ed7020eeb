import { describe, expect, test } from 'vitest'
import { HostMemory } from '../memory/host-memory.ts'
import { makeCpus } from '../memory/memory-cpu.ts'
import { PageAllocator } from '../memory/page-allocator.ts'
import { Frames } from './frames.ts'
import { PrivatePages, SharedPages } from './memory-pages.ts'
import { NO_PAGE, ZERO_PAGE } from './page-object.ts'

function setUp(): { readonly pages: PageAllocator; readonly frames: Frames } {
  const memory = new HostMemory()
  memory.addRam(0, 16 << 20)
  const [cpu] = makeCpus(memory, undefined, 1)
  const pages = new PageAllocator(memory, cpu)
  return { pages, frames: new Frames(pages, cpu, 4096) }
}

describe('shared pages', () => {
  test('are made when first written, one huge page at a time', () => {
    const { pages, frames } = setUp()
    const memfd = new SharedPages(frames, { bytes: 4 << 20, huge: 2 << 20 })
    expect(memfd.peek(600)).toBe(ZERO_PAGE)
    const hpa = memfd.fault(600)
    expect([memfd.peek(512), memfd.peek(0), pages.allocated]).toEqual([hpa - 88 * 4096, ZERO_PAGE, 2 << 20])
    memfd.punch(513, 511)
    expect(pages.allocated).toBe(2 << 20)
    memfd.punch(512, 512)
    expect(pages.allocated).toBe(0)
  })
  test('end at the last page that holds a byte', () => {
    const { frames } = setUp()
    const memfd = new SharedPages(frames, { bytes: 4097 })
    expect([memfd.peek(1), memfd.peek(2), memfd.fault(2)]).toEqual([ZERO_PAGE, NO_PAGE, NO_PAGE])
    expect([memfd.name, memfd.bytes]).toEqual(['memfd', 4097])
  })
})

describe('private pages', () => {
  test('show the file until one is written, then their own', () => {
    const { frames } = setUp()
    const memfd = new SharedPages(frames, { bytes: 8192, name: 'rom' })
    const below = memfd.fault(1)
    const own = new PrivatePages(frames, 1, { object: memfd, firstPage: 1 })
    expect([own.name, own.peek(0), own.peek(1), own.fault(1)]).toEqual(['private rom', below, NO_PAGE, NO_PAGE])
    const copy = own.fault(0)
    expect([copy === below, own.peek(0), memfd.peek(1)]).toEqual([false, copy, below])
  })
  test('of a forked pair: who writes first copies, who writes last keeps the page', () => {
    const { pages, frames } = setUp()
    const parent = new PrivatePages(frames, 1)
    parent.hold()
    const page = parent.fault(0)
    const child = parent.fork()
    child.hold()
    expect([child.peek(0), pages.allocated]).toEqual([page, 4096])
    expect([parent.fault(0) === page, child.fault(0) === page, pages.allocated]).toEqual([false, true, 8192])
    parent.release()
    child.release()
    expect(pages.allocated).toBe(0)
  })
})
