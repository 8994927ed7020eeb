import { expect, test } from 'vitest'
import { HostMemory } from '../memory/host-memory.ts'
import { makeCpus } from '../memory/memory-cpu.ts'
import { PageAllocator } from '../memory/page-allocator.ts'
import { Frames } from './frames.ts'
import { SharedPages } from './memory-pages.ts'
import { PageRunList, pinPages, unpinPages } from './pins.ts'

test('runs grow, merge where they go on, and can be used again', () => {
  const runs = new PageRunList(1)
  runs.append(0x1000, 4096)
  runs.append(0x2000, 4096)
  runs.append(0x8000, 4096)
  runs.append(0x4000, 8192)
  expect([runs.count, [...runs.hpa.subarray(0, 3)], [...runs.bytes.subarray(0, 3)], runs.total]).toEqual([
    3,
    [0x1000, 0x8000, 0x4000],
    [8192, 4096, 8192],
    20480,
  ])
  runs.clear()
  expect([runs.count, runs.total]).toEqual([0, 0])
})
test('pages of a file are pinned without any mapping, up to its end', () => {
  const memory = new HostMemory()
  memory.addRam(0, 4 << 20)
  const [cpu] = makeCpus(memory, undefined, 1)
  const pages = new PageAllocator(memory, cpu)
  const frames = new Frames(pages, cpu, 4096)
  const memfd = new SharedPages(frames, { bytes: 3 * 4096 })
  const runs = new PageRunList()
  expect([pinPages(frames, memfd, 1, 5, runs), runs.total]).toEqual([2, 8192])
  expect(() => pinPages(frames, memfd, 3, 1, runs)).toThrow('pin: EFAULT object=memfd index=0x3')
  memfd.release()
  expect(pages.allocated).toBe(8192)
  unpinPages(frames, runs)
  expect(pages.allocated).toBe(0)
})
test('a page that a test makes fail ends the run, and cannot be had at the next try either', () => {
  const memory = new HostMemory()
  memory.addRam(0, 4 << 20)
  const [cpu] = makeCpus(memory, undefined, 1)
  const frames = new Frames(new PageAllocator(memory, cpu), cpu, 4096)
  const memfd = new SharedPages(frames, { bytes: 4 * 4096 })
  const runs = new PageRunList()
  frames.failures.arm(3)
  expect(pinPages(frames, memfd, 0, 4, runs)).toBe(2)
  expect(() => pinPages(frames, memfd, 2, 2, runs)).toThrow('ENOMEM')
  frames.failures.disarm()
  expect([pinPages(frames, memfd, 2, 2, runs), frames.pinned]).toEqual([2, 4])
})
