import { describe, expect, test } from 'vitest'
import { obstacle } from './compatibility.ts'
import { unitCapabilities } from './unit-capabilities.ts'

const CAP = 0x80d2_008c_222f_0606n
const unit = (cap = CAP, ecap = 0xf0_0fcbn) => unitCapabilities(cap, ecap)
const domain = {
  geometry: { topLevel: 3, width: 48, pageSizes: 0x4020_1000n },
  flushesWrites: false,
  flushesMaps: false,
  coherency: { enforced: false },
}

describe('a domain of a 48-bit coherent unit', () => {
  test('fits a unit of the same kind', () => {
    expect(obstacle(domain, unit())).toBeUndefined()
  })
  test('does not fit one that does not snoop its walks, unless its tables are flushed', () => {
    expect(obstacle(domain, unit(CAP, 0xf0_0fcan))).toContain('do not snoop')
    expect(obstacle({ ...domain, flushesWrites: true }, unit(CAP, 0xf0_0fcan))).toBeUndefined()
  })
  test('does not fit a narrower one', () => {
    expect(obstacle(domain, unit(0x80d2_008c_2226_0206n))).toContain('39 bits')
    expect(obstacle(domain, unit(0x80d2_008c_222f_0a06n))).toContain('does not walk 4 levels')
  })
  test('does not fit one with fewer page sizes', () => {
    expect(obstacle(domain, unit(0x80d2_0084_222f_0606n))).toContain('1 GiB')
    expect(obstacle(domain, unit(0x80d2_0080_222f_0606n))).toContain('2 MiB')
  })
  test('does not fit one in caching mode, for its maps are not flushed', () => {
    expect(obstacle(domain, unit(CAP | 0x80n))).toContain('flushed')
    expect(obstacle({ ...domain, flushesMaps: true }, unit(CAP | 0x80n))).toBeUndefined()
  })
  test('does not fit one without snoop control once it enforces coherency', () => {
    const enforced = { ...domain, coherency: { enforced: true } }
    expect(obstacle(enforced, unit())).toBeUndefined()
    expect(obstacle(enforced, unit(CAP, 0xf0_0f4bn))).toContain('No Snoop')
  })
})
