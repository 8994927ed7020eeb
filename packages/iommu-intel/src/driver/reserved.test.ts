import { bdf, type PciFunction } from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { reservedRegions } from './reserved.ts'

const MSI = { first: 0xfee0_0000n, last: 0xfeef_ffffn, type: 'msi', read: false, write: false }
const fn = (classCode: number, id = bdf(0, 2, 0)): PciFunction =>
  ({
    segment: 0,
    bdf: id,
    parent: undefined,
    readConfig: (offset: number) => (classCode >>> ((offset - 9) * 8)) & 0xff,
  }) as unknown as PciFunction
const rmrr = { first: 0x7b80_0000, last: 0x7b8f_ffff, scope: [bdf(0, 2, 0)] }

describe('reserved regions', () => {
  test('of any function: the interrupt window', () => {
    expect(reservedRegions(fn(0x02_0000), [])).toEqual([MSI])
  })
  test('memory that firmware reserves is mapped one to one for the functions named', () => {
    expect(reservedRegions(fn(0x02_0000), [rmrr])).toEqual([
      { first: 0x7b80_0000n, last: 0x7b8f_ffffn, type: 'direct', read: true, write: true },
      MSI,
    ])
    expect(reservedRegions(fn(0x02_0000, bdf(0, 3, 0)), [rmrr])).toEqual([MSI])
    expect(reservedRegions(fn(0x02_0000), [{ ...rmrr, segment: 1 }])).toEqual([MSI])
  })
  test('graphics and USB may do without theirs', () => {
    expect(reservedRegions(fn(0x03_0000), [rmrr])[0]?.type).toBe('relaxable')
    expect(reservedRegions(fn(0x0c_0330), [rmrr])[0]?.type).toBe('relaxable')
    expect(reservedRegions(fn(0x0c_0500), [rmrr])[0]?.type).toBe('direct')
  })
  test('an ISA bridge keeps the first 16 MiB on kernels built for floppy drives', () => {
    expect(reservedRegions(fn(0x06_0100), [])).toEqual([MSI])
    expect(reservedRegions(fn(0x06_0100), [], { floppy: true })[0]).toMatchObject({
      last: 0xff_ffffn,
      type: 'relaxable',
    })
    expect(reservedRegions(fn(0x06_0400), [], { floppy: true })).toEqual([MSI])
  })
})
