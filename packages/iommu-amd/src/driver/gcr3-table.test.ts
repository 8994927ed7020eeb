import { HostMemory, makeCpus, PageAllocator } from '@ioasis/core'
import { expect, test } from 'vitest'
import { gcr3Level, Gcr3Table } from './gcr3-table.ts'

function world(glx: number) {
  const memory = new HostMemory()
  memory.addRam(0, 64 << 20)
  const [cpu] = makeCpus(memory, undefined, 1)
  const pages = new PageAllocator(memory, cpu)
  return { cpu, pages, table: new Gcr3Table(glx, { cpu, pages }) }
}

test('levels for a number of PASIDs', () => {
  expect([1, 512, 513, 65535, 2 ** 18, 2 ** 20].map(gcr3Level)).toEqual([0, 0, 1, 1, 1, 2])
})
test('one level: an entry per PASID', () => {
  const { cpu, table } = world(0)
  table.set(3, 0x12_3456_7000)
  expect(cpu.load(table.root + 24, 8)).toBe(0x12_3456_7001n)
  table.clear(3)
  expect(cpu.load(table.root + 24, 8)).toBe(0n)
})
test('two levels: tables of 512 are made when needed, and freed with the root', () => {
  const { cpu, pages, table } = world(1)
  table.clear(0x2345)
  expect(pages.allocated).toBe(4096)
  table.set(0x2345, 0x5000)
  const entry = cpu.load(table.root + 8 * (0x2345 >>> 9), 8)
  expect(entry & 0xfffn).toBe(1n)
  expect(cpu.load(Number(entry & ~0xfffn) + 8 * (0x2345 & 511), 8)).toBe(0x5001n)
  table.free()
  expect(pages.allocated).toBe(0)
})
test('a table that cannot be had leaves all as it was', () => {
  const { pages, table } = world(1)
  pages.failAfter = 1
  expect(() => table.set(0x2345, 0x5000)).toThrow('ENOMEM')
  expect(pages.allocated).toBe(4096)
})
