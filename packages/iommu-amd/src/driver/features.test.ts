import { describe, expect, test } from 'vitest'
import type { IvhdBlock } from '../spec/ivrs-table.ts'
import { DEFAULT_UNIT } from '../plugin.ts'
import { commonFeatures, type FeatureRegisters, type Features, featuresOf, firmwareFeatures } from './features.ts'

const QEMU = { efr: 0x29d3n, efr2: 0n }
const FULL = { efr: DEFAULT_UNIT.efr, efr2: DEFAULT_UNIT.efr2 ?? 0n }

const block = (type: IvhdBlock['type'], registers: Partial<FeatureRegisters>, features = 0): IvhdBlock => {
  const place = { flags: 0, bdf: 2, capabilityOffset: 0x40, registers: 0xfed8_0000, segment: 0, info: 0 }
  return { type, ...place, features, ...registers, devices: [] }
}
/** Of a machine whose firmware tells the registers. */
const featuresWith = (registers: FeatureRegisters, vaSize: number, la57: boolean): Features =>
  featuresOf(registers, firmwareFeatures(1 | (vaSize << 15), [block(0x11, registers)]), la57)

test('QEMU’s unit: six levels, no guest tables, since requests without PASID could not use them', () => {
  expect(featuresWith(QEMU, 0, false)).toMatchObject({
    hostIovaBits: 64,
    guestTables: false,
    guestTranslation: true,
    pageRequests: false,
    maxPasids: 0,
    nesting: false,
    invalidateAll: true,
    wideInterrupts: true,
    x2apic: false,
  })
})
test('a unit with everything', () => {
  expect(featuresWith(FULL, 0, false)).toMatchObject({
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
    expect(featuresWith({ efr: hats << 10n, efr2: 0n }, vaSize, false).hostIovaBits).toBe(bits)
  })
})
test('five guest levels need CPUs that have them; with such CPUs PASIDs need five levels', () => {
  const five = { ...FULL, efr: FULL.efr | (1n << 12n) }
  expect([featuresWith(five, 0, true), featuresWith(five, 0, false)].map((f) => f.guestLevels)).toEqual([5, 4])
  expect([featuresWith(FULL, 0, true), featuresWith(five, 0, true)].map((f) => f.maxPasids)).toEqual([0, 65535])
})
test('what one of several units lacks, all lack', () => {
  expect(
    commonFeatures([
      { efr: 7n, efr2: 1n },
      { efr: 5n, efr2: 3n },
    ]),
  ).toEqual({ efr: 5n, efr2: 1n })
})

describe('what firmware’s table decides', () => {
  test('a block of type 10h tells no registers: tables of 48 bits, 32-bit interrupt entries, no enhanced page requests', () => {
    const { efr, efr2 } = FULL
    expect(featuresOf({ efr, efr2 }, firmwareFeatures(1, [block(0x10, {})]), false)).toMatchObject({
      hostIovaBits: 48,
      guestTables: true,
      invalidateAll: false,
      enhancedPageRequests: false,
      wideInterrupts: false,
      x2apic: false,
    })
  })
  test('type 10h has a bit of its own for 128-bit entries', () => {
    expect(firmwareFeatures(1, [block(0x10, {}, 1 << 6)]).wideInterrupts).toBe(true)
  })
  test('one unit with x2APIC suffices, but each must have 128-bit entries', () => {
    const [ga, xt] = [{ efr: 0x80n }, { efr: 0x84n }]
    expect(firmwareFeatures(1, [block(0x11, ga), block(0x11, xt)])).toMatchObject({
      wideInterrupts: true,
      x2apic: true,
    })
    expect(firmwareFeatures(1, [block(0x11, { efr: 4n }), block(0x11, xt)])).toMatchObject({
      wideInterrupts: false,
      x2apic: false,
    })
  })
  test('host tables can be forbidden', () => {
    expect(featuresOf(FULL, firmwareFeatures(1, [block(0x40, FULL, 1)]), false).hostIovaBits).toBe(0)
  })
  test('without EFRSup in the header the registers of its blocks do not count', () => {
    expect(firmwareFeatures(0, [block(0x11, FULL)]).registers).toEqual({ efr: 0n, efr2: 0n })
  })
})
