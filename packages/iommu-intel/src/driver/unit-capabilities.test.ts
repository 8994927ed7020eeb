import { describe, expect, test } from 'vitest'
import { addressWidth, secondStageGeometry, unitCapabilities } from './unit-capabilities.ts'

/** QEMU's q35 unit with snoop control, as a recorded kernel read it. */
const Q35 = unitCapabilities(0x80d2_008c_222f_0606n, 0xf0_0fcan)

test('reads the registers of a recorded unit', () => {
  expect(Q35).toMatchObject({
    domains: 65536,
    cachingMode: false,
    writeBuffer: false,
    sagaw: 0b110,
    mgaw: 48,
    largePages: 3,
    pageSelective: true,
    maxMask: 18,
    writeDraining: true,
    readDraining: true,
    rootEmptiesCaches: true,
    faultOffset: 0x220,
    faultRecords: 1,
    coherent: false,
    queued: true,
    interruptRemapping: true,
    passThrough: true,
    snoopControl: true,
    iotlbOffset: 0xf0,
    wideDescriptors: false,
  })
})

test('a unit that knows scalable mode takes wide descriptors', () => {
  expect(unitCapabilities(0x80d2_008c_222f_0606n, 0x4800_80f0_0fcan).wideDescriptors).toBe(true)
})

const geometry = (cap: bigint): ReturnType<typeof secondStageGeometry> => secondStageGeometry(unitCapabilities(cap, 0n))

describe('the second stage', () => {
  test('of a 48-bit unit has four levels and all page sizes', () => {
    expect(geometry(0x80d2_008c_222f_0606n)).toEqual({ topLevel: 3, width: 48, pageSizes: 0x4020_1000n })
  })
  test('of a 39-bit unit has three', () => {
    expect(geometry(0x80d2_008c_2226_0206n)).toEqual({ topLevel: 2, width: 39, pageSizes: 0x4020_1000n })
  })
  test('of a 57-bit unit has five', () => {
    expect(geometry(0x80d2_008c_2238_0e06n)).toMatchObject({ topLevel: 4, width: 57 })
  })
  test('is as wide as MGAW where the walk could be longer', () => {
    expect(geometry(0x80d2_008c_2226_0406n)).toMatchObject({ topLevel: 3, width: 39 })
    expect(geometry(0x80d2_008c_222d_0406n)).toMatchObject({ topLevel: 3, width: 46 })
  })
  test('uses small pages alone where the unit has no others', () => {
    expect(geometry(0x80d2_0080_222f_0606n)?.pageSizes).toBe(0x1000n)
    expect(geometry(0x80d2_0084_222f_0606n)?.pageSizes).toBe(0x20_1000n)
  })
  test('is absent where no walk fits', () => {
    expect(geometry(0x80d2_008c_222f_0006n)).toBeUndefined()
  })
})

test('the address width of three levels is 1, of five 3', () => {
  expect([2, 3, 4].map(addressWidth)).toEqual([1, 2, 3])
})
