import { TARGET } from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { REG } from '../spec/registers.ts'
import { AT, BareUnit, CAP, DISK, ECAP, IOVA, NIC } from './bare-unit.test-kit.ts'

const started = (): BareUnit => new BareUnit().start().map(0x200_0003n)
const plain = { ecap: ECAP & ~0x44n }

describe('root entry', () => {
  test('is found by bus number', () => {
    const m = started()
    m.put(AT.ROOT + 2 * 16, 0x10_2001n, 0n)
    m.put(0x10_2000, 0x11_0001n, 0x102n)
    expect(m.write(IOVA, 0x200)).toMatchObject({ status: 0, hpa: 0x200_0000 })
    expect(m.write(IOVA, 0x300).status).toBe(0x01)
  })
  test('has reserved bits', () => {
    const statuses = [0x10_1003n, 0x10_1801n, (1n << 46n) | 0x10_1001n].map((low) => {
      const m = started()
      m.put(AT.ROOT, low, 0n)
      return m.write(IOVA).status
    })
    expect(statuses).toEqual([0x0a, 0x0a, 0x0a])
    const m = started()
    m.put(AT.ROOT, 0x10_1001n, 1n << 63n)
    expect(m.write(IOVA).status).toBe(0x0a)
  })
  test('and the tables themselves may be out of reach', () => {
    const m = started()
    m.put(AT.ROOT, 0x8000_0001n, 0n)
    expect(m.write(IOVA).status).toBe(0x09)
    m.store(0x20, 0x8000_0000, 8)
    m.command(1 << 30)
    expect(m.write(IOVA).status).toBe(0x08)
  })
})

const withWords = (low: bigint, high: bigint, options = {}): number => {
  const m = new BareUnit(options).start().map(0x200_0003n)
  m.put(AT.CONTEXT + NIC * 16, low, high)
  return m.write(IOVA).status
}

describe('context entry', () => {
  test('must be present', () => {
    expect(withWords(0x11_0000n, 0x102n)).toBe(0x02)
  })
  test('has reserved bits', () => {
    expect(withWords(0x11_0011n, 0x102n)).toBe(0x0b)
    expect(withWords(0x11_0801n, 0x102n)).toBe(0x0b)
    expect(withWords((1n << 46n) | 0x11_0001n, 0x102n)).toBe(0x0b)
    expect(withWords(0x11_0001n, 0x182n)).toBe(0x0b)
    expect(withWords(0x11_0001n, 0x100_0102n)).toBe(0x0b)
    expect(withWords(0x11_0001n, 1n << 40n)).toBe(0x0b)
  })
  test('leaves bits 6:3 of the high word to software', () => {
    expect(withWords(0x11_0001n, 0x17an)).toBe(0)
  })
  test("may not name a domain beyond the unit's width", () => {
    const eightBits = { cap: (CAP & ~7n) | 2n }
    expect(withWords(0x11_0001n, 0xff02n, eightBits)).toBe(0)
    expect(withWords(0x11_0001n, 0x1_0002n, eightBits)).toBe(0x0b)
  })
  test('must name a width and a type that the unit has', () => {
    expect(withWords(0x11_0001n, 0x100n)).toBe(0x03)
    expect(withWords(0x11_0001n, 0x104n)).toBe(0x03)
    expect(withWords(0x11_0001n, 0x103n, { cap: CAP & ~0x800n })).toBe(0x03)
    expect(withWords(0x11_000dn, 0x102n)).toBe(0x03)
    expect(withWords(0x11_0005n, 0x102n)).toBe(0)
    expect(withWords(0x11_0005n, 0x102n, plain)).toBe(0x03)
    expect(withWords(0x11_0009n, 0x102n, plain)).toBe(0x03)
  })
  test('hides its reserved bits from the fault log with FPD; QEMU records them', () => {
    const units = [new BareUnit().start(), new BareUnit({ personality: 'qemu' }).start()]
    for (const m of units) m.put(AT.CONTEXT + NIC * 16, 0x11_0013n, 0x102n)
    expect(units.map((m) => [m.write(IOVA).status, m.load(REG.FSTS)])).toEqual([
      [0x0b, 0n],
      [0x0b, 2n],
    ])
  })
  test('passes requests through, within its width', () => {
    const m = started().context(NIC, { low: 9n, width: 3 })
    expect(m.write(0x200_0008n)).toMatchObject({ status: 0, hpa: 0x200_0008, target: TARGET.MEMORY })
    expect(m.write(1n << 57n).status).toBe(0x04)
    const qemu = new BareUnit({ personality: 'qemu' }).start().context(NIC, { low: 9n })
    expect(qemu.write(1n << 48n).status).toBe(0)
  })
  test("checks the narrower of its width and the unit's", () => {
    const narrow = (CAP & ~(0x3fn << 16n)) | (40n << 16n)
    const m = new BareUnit({ cap: narrow }).start().context(DISK)
    expect(m.write(1n << 41n, DISK).status).toBe(0x04)
    expect(m.write(1n << 40n, DISK).status).toBe(0x05)
  })
})
