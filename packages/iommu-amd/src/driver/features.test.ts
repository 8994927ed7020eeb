import { describe, expect, test } from 'vitest'
import { commonFeatures, featuresOf } from './features.ts'
import { DEFAULT_UNIT } from '../plugin.ts'

const QEMU = { efr: 0x29d3n, efr2: 0n }
const FULL = { efr: DEFAULT_UNIT.efr, efr2: DEFAULT_UNIT.efr2 ?? 0n }

test('QEMU’s unit: six levels, no guest tables, since requests without PASID could not use them', () => {
  expect(featuresOf(QEMU, 0, false)).toMatchObject({
    hostIovaBits: 64,
    guestTables: false,
    guestTranslation: true,
    pageRequests: false,
    pprLog: true,
    maxPasids: 0,
    nesting: false,
    invalidateAll: true,
    wideInterrupts: true,
    x2apic: false,
  })
})
test('a unit with everything', () => {
  expect(featuresOf(FULL, 0, false)).toMatchObject({
    hostIovaBits: 64,
    guestTables: true,
    guestLevels: 4,
    pageRequests: true,
    maxPasids: 65535,
    maxGcr3Level: 1,
    nesting: true,
  })
})
describe('width of an iova', () => {
  test.each([
    [0n, 0, 48],
    [1n, 0, 57],
    [2n, 0, 64],
    [2n, 48, 48],
    [3n, 0, 0],
  ])('HATS %s, VASize %s: %s bits', (hats, vaSize, bits) => {
    expect(featuresOf({ efr: hats << 10n, efr2: 0n }, vaSize, false).hostIovaBits).toBe(bits)
  })
})
test('five guest levels need CPUs that have them; with such CPUs PASIDs need five levels', () => {
  const five = { ...FULL, efr: FULL.efr | (1n << 12n) }
  expect([featuresOf(five, 0, true), featuresOf(five, 0, false)].map((f) => f.guestLevels)).toEqual([5, 4])
  expect([featuresOf(FULL, 0, true), featuresOf(five, 0, true)].map((f) => f.maxPasids)).toEqual([0, 65535])
})
test('what one of several units lacks, all lack', () => {
  expect(
    commonFeatures([
      { efr: 7n, efr2: 1n },
      { efr: 5n, efr2: 3n },
    ]),
  ).toEqual({ efr: 5n, efr2: 1n })
})
