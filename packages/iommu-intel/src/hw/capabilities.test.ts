import { expect, test } from 'vitest'
import { capabilitiesOf } from './capabilities.ts'

test('reads what QEMU 11.1 shows for a 48-bit unit', () => {
  expect(capabilitiesOf(0x80d2_008c_222f_0606n, 0xf4an, 48)).toMatchObject({
    domainBits: 16,
    sagaw: 0b110,
    mgaw: 48,
    superpages: 0b11,
    pageSelective: true,
    maxMask: 18,
    faultRecords: 1,
    faultOffset: 0x220,
    iotlbOffset: 0xf0,
    coherent: false,
    queued: true,
    interruptRemapping: true,
    passThrough: true,
    deviceTlb: false,
    snoopControl: false,
    scalable: false,
  })
})
test('reads a fault register offset that straddles the two words', () => {
  expect(capabilitiesOf(0x80n << 24n, 0n, 39).faultOffset).toBe(0x800)
  expect(() => capabilitiesOf(1n << 32n, 0n, 39)).toThrow('places registers beyond 0x1000')
})
test('refuses a host width that no entry can hold', () => {
  expect(() => capabilitiesOf(0n, 0n, 53)).toThrow('53 bits is impossible')
})
