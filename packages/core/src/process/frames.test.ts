import { expect, test } from 'vitest'
import { HostMemory } from '../memory/host-memory.ts'
import { makeCpus } from '../memory/memory-cpu.ts'
import { PageAllocator } from '../memory/page-allocator.ts'
import { Frames } from './frames.ts'

function setUp(pageBytes = 4096): { readonly pages: PageAllocator; readonly frames: Frames } {
  const memory = new HostMemory()
  memory.addRam(0, 16 << 20)
  const [cpu] = makeCpus(memory, undefined, 1)
  const pages = new PageAllocator(memory, cpu)
  return { pages, frames: new Frames(pages, cpu, pageBytes) }
}

test('a page goes with its last reference, pins included', () => {
  const { pages, frames } = setUp()
  const hpa = frames.alloc(1, 'test')
  frames.hold(hpa)
  frames.pin(hpa)
  frames.drop(hpa)
  expect([frames.isShared(hpa), frames.pinsOf(hpa), frames.pinned]).toEqual([false, 1, 1])
  frames.drop(hpa)
  expect(pages.allocated).toBe(4096)
  frames.unpin(hpa, 4096)
  expect([pages.allocated, frames.pinned]).toEqual([0, 0])
})
test('is shared when two show it, not when one shows and one pins it', () => {
  const { frames } = setUp()
  const hpa = frames.alloc(1, 'test')
  frames.pin(hpa)
  expect(frames.isShared(hpa)).toBe(false)
  frames.hold(hpa)
  expect(frames.isShared(hpa)).toBe(true)
})
test('pages of a huge block keep the whole block', () => {
  const { pages, frames } = setUp()
  const hpa = frames.alloc(512, 'test')
  frames.pin(hpa + 300 * 4096, 2)
  frames.drop(hpa)
  expect([pages.allocated, frames.pinsOf(hpa), frames.pinsOf(hpa + 4096)]).toEqual([2 << 20, 2, 2])
  frames.unpin(hpa + 300 * 4096, 8192)
  expect(pages.allocated).toBe(0)
  const again = frames.alloc(1, 'test')
  frames.pin(again)
  expect(frames.pinsOf(again + 4096)).toBe(0)
})
test('pages of 64 KiB are counted one by one', () => {
  const { pages, frames } = setUp(65536)
  const a = frames.alloc(1, 'test')
  const b = frames.alloc(1, 'test')
  frames.pin(a)
  expect([frames.pinsOf(a), frames.pinsOf(b), pages.allocated]).toEqual([1, 0, 131072])
})
test('memory that is not the allocator’s is counted and never freed', () => {
  const { pages, frames } = setUp()
  frames.pin(2 ** 40)
  frames.unpin(2 ** 40, 4096)
  expect([frames.pinned, pages.allocated]).toEqual([0, 0])
})
test('letting go of what was not taken is our own mistake', () => {
  const { frames } = setUp()
  const hpa = frames.alloc(1, 'test')
  expect(() => frames.unpin(hpa, 4096)).toThrow(/more often/)
  frames.drop(hpa)
  expect(() => frames.drop(hpa)).toThrow(/more often/)
})
test('scattered: no page follows the one before it, and every page is used', () => {
  const memory = new HostMemory()
  memory.addRam(0, 16 << 20)
  const [cpu] = makeCpus(memory, undefined, 1)
  const pages = new PageAllocator(memory, cpu)
  const frames = new Frames(pages, cpu, 4096, true)
  const all = Array.from({ length: 64 }, () => frames.alloc(1, 'test'))
  expect(all.filter((hpa, i) => hpa === (all[i - 1] ?? 0) + 4096)).toEqual([])
  expect(pages.allocated).toBe(64 * 4096)
  expect(Math.max(...all) - Math.min(...all)).toBeLessThanOrEqual(65 * 4096)
})
