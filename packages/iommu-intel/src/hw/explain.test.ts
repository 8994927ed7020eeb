import { ACCESS } from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { AT, BareUnit, IOVA, NIC } from './bare-unit.test-kit.ts'

const mapped = (): BareUnit => new BareUnit().start().context(NIC).map(0x200_0003n)
const explain = (m: BareUnit, access: 1 | 2 = ACCESS.WRITE): ReturnType<BareUnit['unit']['explain']> =>
  m.unit.explain(m.request(NIC, access, IOVA + 0x10n))

describe('an explanation', () => {
  test('names every entry on the way', () => {
    const told = explain(mapped())
    expect(told.entries.map((e) => [e.name, e.hpa, e.index])).toEqual([
      ['root entry', 0x10_0000, 0],
      ['context entry', 0x10_1100, 0x10],
      ['SS-PML4E', 0x11_0000, 0],
      ['SS-PDPE', 0x11_1000, 0],
      ['SS-PDE', 0x11_2488, 0x91],
      ['SS-PTE', 0x11_3a28, 0x145],
    ])
    expect(told).toMatchObject({ unit: 'dmar0', status: 0, hpa: 0x200_0010, pageBytes: 4096 })
    expect(told.entries[1]?.fields).toContainEqual({ name: 'AW', value: '0x2', meaning: '4 levels' })
    expect(told.entries[5]?.verdict).toBe('maps 0x1000 bytes at 0x2000000')
  })
  test('stops where the walk stops, with the reason', () => {
    const m = mapped()
    m.put(0x11_2488, 0x11_3001n)
    const told = explain(m)
    expect(told.entries).toHaveLength(5)
    expect(told.entries[4]).toMatchObject({ name: 'SS-PDE', verdict: 'write or atomic without write permission' })
    expect(told.status).toBe(0x05)
  })
  test('stops at a context entry or a table it cannot use', () => {
    const m = mapped().context(NIC, { low: 0n })
    expect(explain(m)).toMatchObject({ status: 0x02, verdict: 'the context entry of the function is not present' })
    m.put(AT.ROOT, 0n, 0n)
    expect(explain(m).entries).toHaveLength(1)
    const hole = mapped()
    hole.put(0x11_1000, 0x8000_0003n)
    expect(explain(hole)).toMatchObject({ status: 0x07 })
    expect(explain(hole).entries).toHaveLength(4)
  })
  test('says when a stale leaf or context entry answers', () => {
    const m = mapped()
    m.write(IOVA)
    expect(explain(m).verdict).toBe('the tables lead to 0x2000010; so does the IOTLB')
    m.map(0x200_1003n)
    expect(explain(m)).toMatchObject({ status: 0, hpa: 0x200_0010 })
    expect(explain(m).verdict).toContain(
      'a stale IOTLB entry leads to 0x2000010; in the tables: the tables lead to 0x2001010',
    )
    m.context(NIC, { low: 9n })
    expect(explain(m).verdict).toContain('by the context cache, which holds another entry than the table')
  })
  test('covers what no table decides', () => {
    const m = mapped()
    const of = (more: object, iova = IOVA): string => m.unit.explain(m.request(NIC, ACCESS.WRITE, iova, more)).verdict
    expect(of({}, 0xfee0_0000n)).toContain('the interrupt window is never translated')
    expect(of({ pasid: 3 })).toContain('PASID')
    expect(of({ translated: true })).toContain('blocks translated')
    expect(new BareUnit().unit.explain(m.request(NIC, ACCESS.WRITE, IOVA)).verdict).toContain('translation is off')
  })
  test('leaves no trace', () => {
    const m = mapped()
    explain(m)
    m.put(0x11_3a28, 0n)
    explain(m)
    expect(m.unit.inspect()).toEqual([])
    expect(m.unit.caches.contexts.size).toBe(0)
    expect(m.load(0x34)).toBe(0n)
  })
})
