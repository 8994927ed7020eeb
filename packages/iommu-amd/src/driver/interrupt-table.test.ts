import { HostMemory, makeCpus, PageAllocator } from '@ioasis/core'
import { expect, test } from 'vitest'
import { InterruptTable } from './interrupt-table.ts'

function world(wide: boolean, many: boolean) {
  const memory = new HostMemory()
  memory.addRam(0, 64 << 20)
  const [cpu] = makeCpus(memory, undefined, 1)
  const pages = new PageAllocator(memory, cpu)
  return { cpu, pages, table: new InterruptTable({ wide, many }, { cpu, pages }) }
}

test('32-bit entries: each stands for the vector that is its number', () => {
  const { cpu, pages, table } = world(false, false)
  expect([table.length, table.bytes]).toEqual([9, 4096])
  expect([0x21, 0xff, 0x100].map((i) => cpu.load(table.hpa + 4 * i, 4))).toEqual([0x21_0001n, 0xff_0001n, 0n])
  table.free()
  expect(pages.allocated).toBe(0)
})
test('128-bit entries, and 2048 of them', () => {
  const { cpu, table } = world(true, true)
  expect([table.length, table.bytes]).toEqual([11, 32768])
  expect([0, 8].map((at) => cpu.load(table.hpa + 16 * 0x21 + at, 8))).toEqual([1n, 0x21n])
})
