import { type Claim, MSI_WINDOW } from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { audit, contradictions, SteppedAudit } from './audit.ts'

const domain = {}
const mapped: Claim = {
  kind: 'mapped',
  domain,
  unit: 'u0',
  tag: 3,
  iova: 0x10000n,
  bytes: 0x4000n,
  hpa: 0x80000,
  write: true,
}
const cached: Claim = { kind: 'cached', unit: 'u0', tag: 3, iova: 0x11000n, bytes: 0x1000n, hpa: 0x81000, write: true }
const attached: Claim = { kind: 'attached', unit: 'u0', segment: 0, requester: 8, domain, type: 'paging', tag: 3 }
const host = (claims: readonly Claim[]): Parameters<typeof audit>[0] => ({
  all: (key) => (String(key).includes('AuditSource') ? [{ name: 'test', claims: () => claims }] : []) as never,
  find: () => undefined,
})
const keep = (hpa: number, bytes: bigint, of: object = domain): Claim => ({
  kind: 'kept',
  domain: of,
  source: 'pin',
  hpa,
  bytes,
})

describe('caches', () => {
  test('a cached translation that a table backs is sound', () => {
    expect(contradictions([mapped, cached, attached])).toEqual([])
  })
  test('a translation that no table backs is named', () => {
    expect(contradictions([cached])).toEqual([
      'u0 caches iova 0x11000 to 0x11fff -> 0x81000 for domain id 3, but no table maps 0x11000',
    ])
  })
  test.each<[string, Partial<typeof cached>, RegExp]>([
    ['another target', { hpa: 0x90000 }, /lead 0x11000 to 0x81000/],
    ['another permission', { write: false }, /allow writing/],
    ['more than the leaves hold', { bytes: 0x4000n }, /no table maps 0x14000/],
    ['another domain id', { tag: 4 }, /domain id 4, but no table/],
    ['another unit', { unit: 'u1' }, /u1 caches/],
  ])('a cache with %s is named', (_, change, why) => {
    expect(contradictions([mapped, { ...cached, ...change }])[0]).toMatch(why)
  })
  test('a translation is excused while its invalidation lags', () => {
    const stale: Claim = { kind: 'stale', unit: 'u0', tag: 3, iova: 0x11000n, bytes: 0x1000n }
    expect(contradictions([cached, stale])).toEqual([])
    expect(contradictions([cached, { ...stale, tag: 4 }])).toHaveLength(1)
    expect(contradictions([cached, { ...stale, iova: 0x12000n }])).toHaveLength(1)
  })
  test('a cached pass-through is sound where it leads to itself', () => {
    const through: Claim = { ...attached, type: 'identity', tag: 1 }
    expect(contradictions([through, { ...cached, tag: 1, iova: 0x5000n, hpa: 0x5000 }])).toEqual([])
    expect(contradictions([through, { ...cached, tag: 1, iova: 0x5000n, hpa: 0x6000 }])).toHaveLength(1)
  })
})

describe('kept targets', () => {
  test('a mapped page lies in what sources keep, over their seams', () => {
    expect(contradictions([mapped, keep(0x80000, 0x1000n), keep(0x81000, 0x3000n)])).toEqual([])
  })
  test('a mapped page that nobody keeps is named', () => {
    expect(contradictions([mapped, keep(0x80000, 0x1000n)])[0]).toMatch(/hpa 0x80000, which no source keeps/)
  })
  test('what is kept for one domain is not kept for another', () => {
    const other: Claim = { ...mapped, domain: {}, tag: 4 }
    const claims = [mapped, keep(0x80000, 0x4000n), other, keep(0x0, 0x1000n, (other as { domain: object }).domain)]
    expect(contradictions(claims)).toHaveLength(1)
  })
})

describe('attachments', () => {
  test('a requester in two domains is named', () => {
    expect(contradictions([attached, { ...attached, domain: {}, tag: 4 }])).toContain(
      '0000:00:01.0 is attached to two domains, on u0 and u0',
    )
  })
  test('a domain id that names two domains is named once', () => {
    const other = { ...attached, domain: {}, requester: 16 }
    expect(contradictions([attached, other, { ...other, requester: 24 }])).toEqual(['u0 domain id 3 names two domains'])
  })
  test('a group whose members are in two domains is named', () => {
    const group = { id: 7, devices: [8, 16].map((id) => ({ requesterIds: [id], fn: { segment: 0 } })) } as never
    const other = { ...attached, requester: 16, domain: {}, tag: 4 }
    expect(contradictions([attached, other], [group])[0]).toMatch(/^group 7 is in 2 domains/)
    expect(contradictions([attached, { ...attached, requester: 16 }], [group])).toEqual([])
  })
  test('nothing maps the interrupt window', () => {
    const claim = { ...mapped, iova: BigInt(MSI_WINDOW.first) }
    expect(contradictions([claim])[0]).toMatch(/interrupt window/)
  })
  test('a count that does not balance is named', () => {
    expect(contradictions([{ kind: 'count', what: 'pins', actual: 2, expected: 0 }])).toEqual(['pins: 2 instead of 0'])
  })
})

describe('audit of a host', () => {
  test('asks all sources', () => {
    expect(audit(host([mapped, cached]))).toEqual({ claims: 2, violations: [], known: [] })
  })
  test('a step looks at what it touched, and at everything in its turn', () => {
    const steps = new SteppedAudit(host([cached]), 3)
    steps.step({ first: 0x20000n, last: 0x20fffn })
    steps.step(undefined)
    expect(() => steps.step(undefined)).toThrow(/the audit found:\n {2}u0 caches/)
    expect(() => steps.step({ first: 0x11fffn, last: 0x11fffn })).toThrow(/no table maps/)
  })
})
