import { HostMemory } from '@ioasis/core'
import { expect, test } from 'vitest'
import { RamWatch } from './ram-watch.ts'

const watched = (): { memory: HostMemory; ram: RamWatch } => {
  const memory = new HostMemory()
  memory.addRam(0, 64 << 20)
  return { memory, ram: new RamWatch(memory, 64 << 20) }
}

test('finds a changed word anywhere, once, in address order', () => {
  const { memory, ram } = watched()
  memory.write(0x3ff_fff8, Uint8Array.of(1))
  memory.write(0x1004, Uint8Array.of(2))
  expect(ram.changes()).toStrictEqual([
    { hpa: 0x1000, before: 0n, after: 2n << 32n },
    { hpa: 0x3ff_fff8, before: 0n, after: 1n },
  ])
  expect(ram.changes()).toStrictEqual([])
})
test('a store of software is no change, also across chunks', () => {
  const { memory, ram } = watched()
  ram.write(0x3_fff8, new Uint8Array(16).fill(7))
  expect(ram.changes()).toStrictEqual([])
  memory.write(0x4_0000, Uint8Array.of(8))
  expect(ram.changes().map((c) => c.hpa)).toStrictEqual([0x4_0000])
})
