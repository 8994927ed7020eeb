import { bdf } from '@ioasis/core'
import { beforeEach, describe, expect, test } from 'vitest'
import { contextEntry, ContextTables } from './context-table.ts'
import type { Invalidation } from './invalidation.ts'
import { bareMachine } from './machine.test-kit.ts'
import { RequesterEntries } from './requester-entries.ts'
import { UnitMemory } from './unit-memory.ts'

const device = { name: 'device' }
const other = { name: 'other' }
const id = bdf(0, 2, 0)
const alias = bdf(4, 0, 0)
const entry = (domain: number) => contextEntry({ domain, table: domain << 20, width: 2, type: 0 })
const context = (domain: number, source = id) => ({ kind: 'context', what: 'device', domain, source })
const iotlb = (domain: number) => expect.objectContaining({ kind: 'iotlb', what: 'domain', domain })

describe('context entries of a unit', () => {
  let contexts: ContextTables
  let entries: RequesterEntries
  let asked: Invalidation[][]
  let seen: unknown[]

  const setUp = (cachingMode: boolean): void => {
    const { cpu, pages } = bareMachine()
    contexts = new ContextTables('dmar0', new UnitMemory(cpu, pages, false))
    contexts.prepare([id, alias])
    asked = []
    seen = []
    entries = new RequesterEntries({
      contexts,
      capabilities: { cachingMode },
      invalidate: (requests) => {
        asked.push([...requests])
        seen.push(contexts.read(id))
      },
      flushWriteBuffer: () => asked.push([]),
    })
  }
  beforeEach(() => setUp(false))

  test('a first entry needs no invalidation, only the write buffer', () => {
    entries.set(device, [id], entry(2))
    expect(contexts.read(id)).toEqual(entry(2))
    expect(asked).toEqual([[]])
  })
  test('in caching mode it is flushed under domain id 0, and its own translations', () => {
    setUp(true)
    entries.set(device, [id], entry(2))
    expect(asked).toEqual([[context(0), iotlb(2)]])
  })
  test('a replaced entry is flushed under the old domain id, after the new one stands', () => {
    entries.set(device, [id], entry(2))
    entries.set(device, [id], entry(3))
    expect(asked[1]).toEqual([context(2), iotlb(2)])
    expect(seen).toEqual([entry(3)])
  })
  test('the same entry again is nothing', () => {
    entries.set(device, [id], entry(2))
    entries.set(device, [id], entry(2))
    expect(asked).toEqual([[]])
  })
  test('a cleared entry loses P first, and the rest after the flush', () => {
    entries.set(device, [id], entry(2))
    entries.clear(device, [id])
    expect(asked[1]).toEqual([context(2), iotlb(2)])
    expect(seen[0]).toEqual([0x20_0000, 0, 0x202, 0])
    expect(contexts.read(id)).toEqual([0, 0, 0, 0])
    expect(entries.count).toBe(0)
  })
  test('clearing what was never set asks nothing', () => {
    entries.clear(device, [id, alias])
    expect(asked).toEqual([])
  })

  describe('of a requester id that two devices share', () => {
    test('stays for the other one when the first leaves', () => {
      entries.set(device, [id, alias], entry(2))
      entries.set(other, [alias], entry(2))
      entries.clear(device, [id, alias])
      expect(contexts.read(alias)).toEqual(entry(2))
      expect(contexts.read(id)).toEqual([0, 0, 0, 0])
      entries.clear(other, [alias])
      expect(contexts.read(alias)).toEqual([0, 0, 0, 0])
    })
    test('follows the last writer, and goes back to the other when that one leaves', () => {
      entries.set(device, [alias], entry(2))
      entries.set(other, [alias], entry(3))
      expect(contexts.read(alias)).toEqual(entry(3))
      expect(entries.usersOf(alias)).toEqual([device, other])
      entries.clear(other, [alias])
      expect(contexts.read(alias)).toEqual(entry(2))
      expect(asked.at(-1)).toEqual([context(3, alias), iotlb(3)])
    })
  })
})
