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

test('32-bit entries: a vector that is allowed has the entry of its number, and no other has one', () => {
  const { cpu, pages, table } = world(false, false)
  table.allow(0x21)
  table.allow(0xfe)
  table.refuse(0x21)
  expect([table.length, table.bytes]).toEqual([9, 4096])
  expect([0x20, 0x21, 0xfe].map((i) => cpu.load(table.hpa + 4 * i, 4))).toEqual([0n, 0n, 0xfe_0001n])
  table.free()
  expect(pages.allocated).toBe(0)
})
test('128-bit entries, and 2048 of them', () => {
  const { cpu, table } = world(true, true)
  const words = (): readonly bigint[] => [0, 8].map((at) => cpu.load(table.hpa + 16 * 0x21 + at, 8))
  expect([table.length, table.bytes]).toEqual([11, 32768])
  table.allow(0x21)
  expect(words()).toEqual([1n, 0x21n])
  table.refuse(0x21)
  expect(words()).toEqual([0n, 0n])
})
