import { pageRuns } from '@ioasis/core'
import { expect, test } from 'vitest'
import { mockWorld } from '../mock-world.test-kit.ts'
import { Walk } from './walk.ts'

const RW = { read: true, write: true }

/** Words written by hand: a table of 1 MiB pages in the second level, and one page of 4 KiB below it. */
test('follows tables, and knows a page of its level from a larger one', () => {
  const { memory, pages, cpu } = mockWorld()
  const [top, middle, low] = [0, 1, 2].map(() => pages.alloc(4096)) as [number, number, number]
  const put = (at: number, value: bigint): void => cpu.store(at, 8, value)
  put(top, BigInt(middle) | 0x6000_0000_0000_0101n)
  put(middle + 8, 0x6000_0000_0050_0001n)
  put(middle + 16, BigInt(low) | 0x6000_0000_0000_0081n)
  put(low, 0x2000_0000_0012_3381n)
  put(low + 8, 0x2000_0000_0012_3381n)
  const walk = new Walk(memory)
  const at = (iova: number): readonly [number, number] | undefined =>
    walk.find(top, 0, iova) ? [walk.target(0, iova), walk.shift] : undefined
  expect([at(0x10_0000), at(0x1f_ffff)]).toEqual([
    [0x50_0000, 20],
    [0x5f_ffff, 20],
  ])
  expect([at(0x20_0000), at(0x20_0fff), at(0x20_1000), at(0)]).toEqual([
    [0x12_3000, 12],
    [0x12_3fff, 12],
    undefined,
    undefined,
  ])
  expect([walk.find(top, 0x40, 0x10_0000), walk.find(top, 0x3f, 0)]).toEqual([false, false])
})

test('a mark is set in the one entry that was walked', () => {
  const { memory, cpu, table } = mockWorld()
  const made = table()
  made.map(0x100_0000n, pageRuns([0x20_0000, 0x1000], [0x30_0800, 0x800]), RW)
  const walk = new Walk(memory)
  expect(walk.find(made.root, 0, 0x100_0800)).toBe(true)
  walk.markDirty()
  const entry = cpu.load(made.root, 8)
  const leaves = Number(cpu.load(Number(entry & ~0xfffn & 0x7_ffff_ffffn) + 16 * 8, 8) & 0x7_ffff_f000n)
  expect([0, 1, 2].map((i) => (cpu.load(leaves + i * 8, 8) >> 6n) & 1n)).toEqual([0n, 1n, 0n])
})

test('bytes to the end of the page, from the smallest to a page of more than 2 GiB', () => {
  const { memory, table } = mockWorld()
  const made = table()
  made.map(0x10_0000_0000n, pageRuns([0x10_0000_0000, 0x2_0000_0000]), RW)
  made.map(0x100_0000n, pageRuns([0x20_0000, 0x800]), RW)
  const walk = new Walk(memory)
  expect(walk.find(made.root, 0, 0x100_0001)).toBe(true)
  expect(walk.bytesToEnd(0x100_0001)).toBe(0x7ff)
  expect(walk.find(made.root, 0x11, 5)).toBe(true)
  expect([walk.shift, walk.bytesToEnd(5), walk.target(0x11, 5)]).toEqual([33, 0x7fff_fffb, 0x11_0000_0005])
})
