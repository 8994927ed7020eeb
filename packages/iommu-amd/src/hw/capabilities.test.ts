import { expect, test } from 'vitest'
import { capabilitiesOf } from './capabilities.ts'

test('the features of a desktop part', () => {
  // Linux names this EFR on Ryzen 5000: PPR X2APIC NX GT IA GA PC, HATS 6 levels, GLX 2.
  const caps = capabilitiesOf({ efr: 0x58f77ef22294aden, capabilityHeader: 0x190b_640f, efr2: 0n })
  expect(caps).toMatchObject({ iotlb: true, npCache: false, pageRequests: true, x2apic: true, guest: true })
  expect(caps).toMatchObject({
    invalidateAll: true,
    wideEntries: true,
    hostLevels: 6,
    guestLevels: 4,
    registerBytes: 0x8_0000,
  })
})
test('without EFRSup every feature is absent, and the table has four levels', () => {
  expect(capabilitiesOf({ efr: 0xffff_ffff_ffff_ffffn, capabilityHeader: 0x0003_000f })).toMatchObject({
    guest: false,
    invalidateAll: false,
    hostLevels: 4,
  })
})
test('HATS 3 means no host translation', () => {
  expect(capabilitiesOf({ efr: 0xc40n, capabilityHeader: 0x0803_000f }).hostLevels).toBe(0)
})
test('an impossible width of physical addresses is refused', () => {
  expect(() => capabilitiesOf({ efr: 0n, capabilityHeader: 0, paBits: 60 })).toThrow(RangeError)
})
