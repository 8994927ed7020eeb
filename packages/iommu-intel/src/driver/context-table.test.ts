import { bdf, UapiError } from '@ioasis/core'
import { beforeEach, describe, expect, test } from 'vitest'
import { contextEntry, ContextTables, domainOf, isPresent, NO_ENTRY, tableOf, withoutPresent } from './context-table.ts'
import { type BareMachine, bareMachine } from './machine.test-kit.ts'
import { UnitMemory } from './unit-memory.ts'

describe('context entries, word by word', () => {
  test('four levels, domain 2, table at 0x1_2345_6000', () => {
    const entry = contextEntry({ domain: 2, table: 0x1_2345_6000, width: 2, type: 0 })
    expect(entry).toEqual([0x2345_6001, 1, 0x202, 0])
    expect([isPresent(entry), domainOf(entry), tableOf(entry)]).toEqual([true, 2, 0x1_2345_6000])
  })
  test('pass-through: type 2 in bits 3:2, no table', () => {
    expect(contextEntry({ domain: 1, table: 0, width: 2, type: 2 })).toEqual([0x9, 0, 0x102, 0])
  })
  test('a domain id of 16 bits, five levels', () => {
    expect(contextEntry({ domain: 0xffff, table: 0x10_0000, width: 3, type: 0 })[2]).toBe(0xff_ff03)
  })
  test('cleared, it keeps its domain id for the flush', () => {
    const entry = withoutPresent(contextEntry({ domain: 9, table: 0x10_0000, width: 2, type: 0 }))
    expect([isPresent(entry), domainOf(entry)]).toEqual([false, 9])
  })
})

describe('tables in memory', () => {
  let machine: BareMachine
  const word = (hpa: number): bigint => machine.cpu.load(hpa, 8)

  beforeEach(() => {
    machine = bareMachine()
  })
  const tables = (flushWrites = false): ContextTables =>
    new ContextTables('dmar0', new UnitMemory(machine.cpu, machine.pages, flushWrites))

  test('a root entry points to the context table, 16 bytes per bus; an entry lies at 16 bytes per function', () => {
    const t = tables()
    const id = bdf(4, 3, 1)
    t.prepare([id, bdf(4, 0, 0)])
    t.write(id, contextEntry({ domain: 5, table: 0x50_0000, width: 2, type: 0 }))
    const root = word(t.root + 4 * 16)
    expect(root & 0xfffn).toBe(1n)
    expect(word(t.root + 4 * 16 + 8)).toBe(0n)
    const table = Number(root & ~0xfffn)
    expect(word(table + 0x19 * 16)).toBe(0x50_0001n)
    expect(word(table + 0x19 * 16 + 8)).toBe(0x502n)
    expect(t.pages).toBe(2)
    expect(t.present).toBe(1)
  })
  test('a bus never used reads as not present', () => {
    expect(tables().read(bdf(9, 0, 0))).toEqual(NO_ENTRY)
  })
  test('a table that cannot be had leaves none of the others', () => {
    const t = tables()
    const before = machine.pages.allocated
    machine.pages.failAfter = 2
    expect(() => t.prepare([bdf(1, 0, 0), bdf(2, 0, 0)])).toThrow(UapiError)
    expect(machine.pages.allocated).toBe(before)
    expect(t.present).toBe(0)
  })
  test('all is given back', () => {
    const t = tables()
    t.prepare([bdf(1, 0, 0), bdf(2, 0, 0)])
    t.free()
    expect(machine.pages.allocated).toBe(0)
  })
  test('each store is flushed from the cache when the unit does not snoop', () => {
    const t = tables(true)
    t.prepare([bdf(0, 2, 0)])
    t.write(bdf(0, 2, 0), contextEntry({ domain: 2, table: 0x50_0000, width: 2, type: 0 }))
    const table = Number(word(t.root) & ~0xfffn)
    expect(machine.flushed).toEqual([
      [t.root, 4096],
      [table, 4096],
      [t.root, 8],
      [table + 0x10 * 16, 16],
    ])
  })
  test('and not when it does', () => {
    const t = tables()
    t.prepare([bdf(0, 2, 0)])
    expect(machine.flushed).toEqual([])
  })
})
