import { pageRuns } from '@ioasis/core'
import { expect, test } from 'vitest'
import { FlatDomain } from './flat-domain.ts'

const RW = { read: true, write: true }

test('an address leads to its page, and to nothing beside it', () => {
  const domain = new FlatDomain()
  domain.map(0x4000n, pageRuns([0x10000, 0x1000], [0x30000, 0x1000]), RW)
  expect(domain.lookup(0x4fffn)).toBe(0x10fff)
  expect(domain.lookup(0x5000n)).toBe(0x30000)
  expect(domain.lookup(0x3fffn)).toBeUndefined()
  expect(domain.lookup(0x6000n)).toBeUndefined()
})

test('unmap counts what was mapped and leaves the rest', () => {
  const domain = new FlatDomain(0x10000)
  domain.map(0x10000n, pageRuns([0x100000, 0x30000]), RW)
  expect(domain.unmap(0x20000n, 0x40000n)).toBe(0x20000n)
  expect(domain.lookup(0x10000n)).toBe(0x100000)
  expect(domain.pages).toBe(1)
})

test('mapping twice is a mistake of the test', () => {
  const domain = new FlatDomain()
  domain.map(0n, pageRuns([0x1000, 0x1000]), RW)
  expect(() => domain.map(0n, pageRuns([0x1000, 0x1000]), RW)).toThrow('mapped already')
  expect(domain.overlaps(0x1000n, 0x1000n)).toBe(false)
})

test('the last page of 64 bits can be mapped', () => {
  const domain = new FlatDomain()
  domain.map((1n << 64n) - 0x1000n, pageRuns([0x7000, 0x1000]), RW)
  expect(domain.lookup((1n << 64n) - 1n)).toBe(0x7fff)
})
