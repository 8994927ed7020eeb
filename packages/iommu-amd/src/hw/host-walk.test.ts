import { ACCESS } from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { BareUnit, FC, FULL, IR, IW, PLAIN, RW } from './bare-unit.test-kit.ts'

const WRITE = { access: ACCESS.WRITE } as const
const flags = (unit: BareUnit): string[] => unit.events().map(([lo]) => ((lo as bigint) >> 48n).toString(16))

describe('levels', () => {
  test.each([
    [1, 0x12_3018n, [[0x11_0918, RW | 0x200_0001n]]],
    [
      2,
      0x3234_5018n,
      [
        [0x11_0c88, RW | 0x11_1201n],
        [0x11_1a28, RW | 0x200_0001n],
      ],
    ],
    [
      3,
      0x7f_1234_5018n,
      [
        [0x11_0fe0, RW | 0x11_1401n],
        [0x11_1488, RW | 0x11_2201n],
        [0x11_2a28, RW | 0x200_0001n],
      ],
    ],
    [
      6,
      0xfe00_0000_0000_5018n,
      [
        [0x11_03f8, RW | 0x11_1201n],
        [0x11_1028, RW | 0x200_0001n],
      ],
    ],
  ] as const)('a table of %i levels translates', (mode, iova, words) => {
    const unit = new BareUnit().device(0x10, RW | 0x11_0003n | (BigInt(mode) << 9n), 1n)
    for (const [hpa, word] of words) unit.put(hpa, word)
    expect(unit.ask(iova, WRITE)).toMatchObject({ status: 0, hpa: 0x200_0018 })
  })
  test('addresses beyond them are refused', () => {
    const unit = new BareUnit().device(0x10, RW | 0x11_0203n, 1n).put(0x11_0000, RW | 0x200_0001n)
    expect([unit.ask(0n).status, unit.ask(0x20_0000n).status]).toEqual([0, 2])
    expect(unit.ask(1n << 63n).status).toBe(2)
  })
  test('skipped levels need skipped address bits of 0', () => {
    const unit = new BareUnit().device(0x10, RW | 0x11_0803n, 1n)
    unit
      .put(0x11_0000, RW | 0x11_1401n)
      .put(0x11_1008, RW | 0x11_2201n)
      .put(0x11_2028, RW | 0x200_0001n)
    expect([unit.ask(0x20_5008n).hpa, unit.ask(0x4020_5008n).status]).toEqual([0x200_0008, 2 | (0x10 << 4)])
  })
  test('a next level that is not lower is refused', () => {
    const unit = new BareUnit().fourLevels(RW | 0x200_0201n)
    expect(unit.ask(0x1234_5000n).status).toBe(2 | (0x10 << 4))
  })
})

describe('leaves', () => {
  test.each([
    ['8 KiB', 0x11_3a20, 0x200_0e01n, 0x1234_5018n, 0x200_1018],
    ['64 KiB', 0x11_3a28, 0x200_7e01n, 0x1234_5018n, 0x200_5018],
    ['1 MiB', 0x11_3a28, 0x207_fe01n, 0x1234_5018n, 0x204_5018],
  ])('may name their own size: %s', (_size, hpa, leaf, iova, expected) => {
    const unit = new BareUnit().fourLevels(RW | leaf)
    unit.put(hpa, RW | leaf)
    expect(unit.ask(iova)).toMatchObject({ status: 0, hpa: expected })
  })
  test('of 512 GiB cover it whole', () => {
    const unit = new BareUnit().device(0x10, RW | 0x11_0803n, 1n).put(0x11_0008, RW | 1n)
    expect(unit.ask(0x80_0200_0018n, { length: 64 })).toMatchObject({ status: 0, hpa: 0x200_0018, bytes: 64 })
    expect(unit.ask(0xff_0000_0000n).hpa).toBe(0x7f_0000_0000)
  })
  test('have no size smaller than their level, nor one of the level above', () => {
    const unit = new BareUnit().fourLevels(RW | 0x20f_fe01n)
    expect(unit.ask(0x1234_5000n).status).toBe(2 | (0x10 << 4))
    unit.put(0x11_2490, RW | 0x200_7e01n)
    expect(unit.ask(0x1240_0000n).status).toBe(2 | (0x10 << 4))
  })
  test('with all address bits 1 have none', () => {
    const unit = new BareUnit().fourLevels(RW | 0xf_ffff_ffff_fe01n)
    expect(unit.ask(0x1234_5000n).status).toBe(2 | (0x10 << 4))
  })
  test('override No Snoop with FC', () => {
    expect(new BareUnit().fourLevels(RW | FC | 0x200_0001n).ask(0x1234_5000n, { noSnoop: true }).snooped).toBe(true)
    expect(new BareUnit().fourLevels().ask(0x1234_5000n, { noSnoop: true }).snooped).toBe(false)
  })
})

describe('permissions', () => {
  test.each([
    ['in the leaf', 0x11_3a28, 0x200_0001n],
    ['at level 2', 0x11_2488, 0x11_3201n],
    ['at level 3', 0x11_1000, 0x11_2401n],
    ['at level 4', 0x11_0000, 0x11_1601n],
  ])('are the AND of all levels: %s', (_where, hpa, word) => {
    const unit = new BareUnit().fourLevels()
    unit.put(hpa, IR | word)
    expect([unit.ask(0x1234_5000n).status, unit.ask(0x1234_5000n, WRITE).status]).toEqual([0, 2 | (0x70 << 4)])
    unit.put(hpa, IW | word).command(0x8000_0000_0000_0000n)
    expect([unit.ask(0x1234_5000n).status, unit.ask(0x1234_5000n, WRITE).status]).toEqual([2 | (0x50 << 4), 0])
  })
  test('of the device table entry count, too; an atomic needs both', () => {
    const unit = new BareUnit().fourLevels().device(0x10, IR | 0x11_0803n, 1n)
    expect([unit.ask(0x1234_5000n).status, unit.ask(0x1234_5000n, WRITE).status]).toEqual([0, 2 | (0x70 << 4)])
    expect(unit.ask(0x1234_5000n, { access: ACCESS.ATOMIC }).status).toBe(2 | (0x70 << 4))
  })
})

test.each([52n, 54n, 56n])('reserved bit %i refuses', (bit) => {
  const unit = new BareUnit().fourLevels(RW | 0x200_0001n | (1n << bit))
  unit.ask(0x1234_5000n, WRITE)
  expect(flags(unit)).toEqual(['20b0'])
})
test('address bits beyond the unit are reserved', () => {
  const unit = new BareUnit({ ...PLAIN, paBits: 48 }).fourLevels(RW | (1n << 48n) | 0x200_0001n)
  expect(unit.ask(0x1234_5000n).status).toBe(2 | (0x90 << 4))
})
test('a table that nothing answers for is a hardware error that names the entry', () => {
  const unit = new BareUnit().fourLevels()
  unit.put(0x11_2488, RW | 0x8000_0201n)
  unit.ask(0x1234_5000n, WRITE)
  expect(unit.events()).toEqual([[0x4220_0001_0000_0010n, 0x8000_0a28n]])
})

const had = (mode: bigint): BareUnit => {
  const unit = new BareUnit(FULL).fourLevels()
  return unit.device(0x10, RW | 0x11_0803n | (mode << 7n), 1n)
}

const bits = (unit: BareUnit): bigint[] => [0x11_0000, 0x11_3a28].map((hpa) => unit.word(hpa) & 0x60n)

describe('accessed and dirty bits', () => {
  test('are left alone unless the device table entry asks', () => {
    const unit = had(0n)
    unit.ask(0x1234_5000n, WRITE)
    expect(bits(unit)).toEqual([0n, 0n])
  })
  test('a read sets A at every level, a write D in the leaf, after a read as well', () => {
    const unit = had(3n)
    unit.ask(0x1234_5000n)
    expect(bits(unit)).toEqual([0x20n, 0x20n])
    unit.ask(0x1234_5000n, WRITE)
    expect(bits(unit)).toEqual([0x20n, 0x60n])
  })
  test('D that software cleared comes back after an invalidation only', () => {
    const unit = had(3n)
    unit.ask(0x1234_5000n, WRITE)
    unit.put(0x11_3a28, RW | 0x200_0001n)
    unit.ask(0x1234_5000n, WRITE)
    expect(bits(unit)[1]).toBe(0n)
    unit.command(0x3000_0001_0000_0000n, 0x1234_5000n)
    unit.ask(0x1234_5000n, WRITE)
    expect(bits(unit)[1]).toBe(0x60n)
  })
})
