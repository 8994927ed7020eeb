import { flushGather, pageRuns } from '@ioasis/core'
import { expect, test } from 'vitest'
import { vtdss } from './formats/vtdss.ts'
import { SIZES, testWorld } from './world.test-kit.ts'

const RW = { read: true, write: true }

test('a table is made for each level below the root, and shared by neighbours', () => {
  const w = testWorld(vtdss, { topLevel: 3, pageSizes: SIZES })
  w.table.map(0n, pageRuns([0x1000, 0x1000]), RW)
  expect(w.table.tablePages).toBe(4)
  w.table.map(0x1f_f000n, pageRuns([0x1000, 0x2000]), RW)
  expect(w.table.tablePages).toBe(5)
  expect(w.pages.allocated).toBe(5 * 4096)
})

test('when the second of three tables cannot be had the first is given back', () => {
  const w = testWorld(vtdss, { topLevel: 3, pageSizes: SIZES })
  w.pages.failAfter = 2
  expect(() => w.table.map(0n, pageRuns([0x1000, 0x1000]), RW)).toThrow('ENOMEM')
  expect(w.pages.allocated).toBe(4096)
  expect(w.entry(w.table.root, 0)).toBe(0n)
})

test('a table stays while one page of it is mapped', () => {
  const w = testWorld(vtdss, { topLevel: 3, pageSizes: SIZES })
  w.table.map(0n, pageRuns([0x1000, 0x2000]), RW)
  const gather = flushGather()
  w.table.unmap(0n, 0x1000n, gather)
  expect(gather.tables).toEqual([])
  w.table.unmap(0x1000n, 0x1000n, gather)
  expect(gather.tables).toHaveLength(3)
})
