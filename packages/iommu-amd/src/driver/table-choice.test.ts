import { describe, expect, test } from 'vitest'
import { DEFAULT_UNIT } from '../plugin.ts'
import { type Features, featuresOf } from './features.ts'
import { tableFor } from './table-choice.ts'

/** @param efr of a unit that firmware tells everything of */
const features = (efr: bigint, efr2 = DEFAULT_UNIT.efr2 ?? 0n): Features => {
  const registers = { efr, efr2 }
  const firmware = { registers, vaSize: 64, hostTables: true, wideInterrupts: true, x2apic: false }
  return featuresOf(registers, firmware, false)
}
const FULL = { features: features(DEFAULT_UNIT.efr), dirtyTracking: true, preferred: 'v1' } as const
const HOST_ONLY = { ...FULL, features: features(0x29d3n, 0n), dirtyTracking: false } as const
const GUEST_ONLY = { ...FULL, features: features(DEFAULT_UNIT.efr | 0xc00n), dirtyTracking: false } as const

describe('the table of a new domain', () => {
  test('is the preferred one, or the other where the units lack it', () => {
    expect([FULL, { ...FULL, preferred: 'v2' } as const, GUEST_ONLY].map((how) => tableFor({}, how))).toEqual([
      'v1',
      'v2',
      'v2',
    ])
    expect(tableFor({}, { ...HOST_ONLY, preferred: 'v2' })).toBe('v1')
  })
  test('is the host’s for dirty tracking and guests, whatever is preferred', () => {
    const how = { ...FULL, preferred: 'v2' } as const
    expect([{ dirtyTracking: true }, { nestParent: true }].map((options) => tableFor(options, how))).toEqual([
      'v1',
      'v1',
    ])
  })
  test('is the guest’s for PASIDs', () => {
    expect(tableFor({ pasid: true }, FULL)).toBe('v2')
  })
  test.each([
    ['dirty tracking without the feature', { dirtyTracking: true }, HOST_ONLY],
    ['guests without the feature', { nestParent: true }, HOST_ONLY],
    ['PASIDs without the feature', { pasid: true }, HOST_ONLY],
    ['guests without host tables', { nestParent: true }, GUEST_ONLY],
    ['PASIDs and dirty tracking together', { pasid: true, dirtyTracking: true }, FULL],
    ['data of a user', { data: {} as never }, FULL],
  ])('does not exist for %s', (_what, options, how) => {
    expect(tableFor(options, how)).toBeUndefined()
  })
})
