/** Golden tables: every word here is written out by hand from the entry formats. */
import { ACCESS, TARGET } from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { AT, BareUnit, CAP, ECAP, IOVA, NIC } from './bare-unit.test-kit.ts'

/** Tables at 0x110000 down to 0x114000, entries at hand-computed places. */
function started(width = 2): BareUnit {
  return new BareUnit().start().context(NIC, { width })
}

describe('levels', () => {
  test('three levels translate 39 bits', () => {
    const m = started(1)
    // iova 0x7f_dead_b000: indices 511, 0xf5, 0xdb.
    m.put(0x11_0ff8, 0x11_1003n)
    m.put(0x11_17a8, 0x11_2003n)
    m.put(0x11_26d8, 0x200_0003n)
    expect(m.write(0x7f_dead_c123n)).toMatchObject({ status: 0x05 })
    expect(m.write(0x7f_dead_b123n)).toMatchObject({ status: 0, hpa: 0x200_0123, bytes: 8 })
    expect(m.write(0x80_0000_0000n).status).toBe(0x04)
  })
  test('four levels translate 48 bits', () => {
    const m = started()
    // iova 0x8123_4567_8abc: indices 0x102, 0x08d, 0x02b, 0x078.
    m.put(0x11_0810, 0x11_1003n)
    m.put(0x11_1468, 0x11_2003n)
    m.put(0x11_2158, 0x11_3003n)
    m.put(0x11_33c0, 0x200_0003n)
    expect(m.write(0x8123_4567_8abcn)).toMatchObject({ status: 0, hpa: 0x200_0abc })
    expect(m.write(0x1_0000_0000_0000n).status).toBe(0x04)
  })
  test('five levels translate 57 bits', () => {
    const m = started(3)
    m.put(0x11_0558, 0x11_1003n)
    m.put(0x11_17f0, 0x11_2003n)
    m.put(0x11_2240, 0x11_3003n)
    m.put(0x11_3d10, 0x11_4003n)
    m.put(0x11_4b38, 0x200_0003n)
    expect(m.write(0xab_7f12_3456_7018n)).toMatchObject({ status: 0, hpa: 0x200_0018 })
    expect(m.write(0x200_0000_0000_0000n).status).toBe(0x04)
  })
  test('a 2 MiB leaf and a 1 GiB leaf cover what they should, and bytes end with the leaf', () => {
    const m = started()
    m.put(0x11_0000, 0x11_1003n)
    m.put(0x11_1008, 0x11_2003n, 0x83n)
    m.put(0x11_2008, 0x220_0083n)
    expect(m.dma(NIC, ACCESS.WRITE, 0x4020_1234n, { length: 0x40_0000 })).toMatchObject({
      hpa: 0x220_1234,
      bytes: 0x1f_edcc,
    })
    expect(m.dma(NIC, ACCESS.READ, 0x8123_4567n, { length: 16 })).toMatchObject({ hpa: 0x123_4567, bytes: 16 })
  })
  test('tables and pages above 4 GiB are followed', () => {
    const m = new BareUnit()
    m.memory.addRam(0x21_0000_0000, 1 << 20)
    m.start().context(NIC, { table: 0x21_0000_0000 })
    m.map(0x3f_fedc_b000n | 3n, 0x21_0000_0000)
    // The kit writes 32-bit pointers: put those above 4 GiB by hand.
    m.put(0x21_0000_0000, 0x21_0000_1003n)
    m.put(0x21_0000_1000, 0x21_0000_2003n)
    m.put(0x21_0000_2488, 0x21_0000_3003n)
    expect(m.write(IOVA)).toMatchObject({ status: 0, hpa: 0x3f_fedc_b000 })
  })
})

describe('permissions', () => {
  test('each direction is the AND over all levels', () => {
    const m = started().map(0x200_0003n)
    m.put(0x11_2488, 0x11_3001n)
    expect(m.read(IOVA).status).toBe(0)
    expect(m.write(IOVA).status).toBe(0x05)
  })
  test('an atomic access needs both', () => {
    const m = started().map(0x200_0001n)
    expect(m.dma(NIC, ACCESS.ATOMIC, IOVA).status).toBe(0x05)
    m.map(0x200_0002n)
    expect(m.dma(NIC, ACCESS.ATOMIC, IOVA).status).toBe(0x06)
    m.map(0x200_0003n)
    expect(m.dma(NIC, ACCESS.ATOMIC, IOVA).status).toBe(0)
  })
  test('an entry without the permission ends the walk before its reserved bits are seen', () => {
    const m = started().map((1n << 50n) | 0x200_0001n)
    expect(m.write(IOVA).status).toBe(0x05)
    expect(m.read(IOVA).status).toBe(0x0c)
  })
})

describe('reserved bits', () => {
  test('address bits from the host width on are reserved in leaves and pointers', () => {
    expect(
      started()
        .map((1n << 46n) | 0x200_0003n)
        .write(IOVA).status,
    ).toBe(0x0c)
    expect(
      started()
        .map((1n << 51n) | 0x200_0003n)
        .write(IOVA).status,
    ).toBe(0x0c)
    const m = started().map(0x200_0003n)
    m.put(0x11_0000, (1n << 46n) | 0x11_1003n)
    expect(m.write(IOVA).status).toBe(0x0c)
  })
  test('bits that hardware ignores are ignored', () => {
    expect(
      started()
        .map(0xbff0_0000_0200_0003n | 0x67cn)
        .write(IOVA),
    ).toMatchObject({ status: 0, hpa: 0x200_0000 })
  })
  test('PS is ignored in the last level and reserved where no leaf can be', () => {
    expect(started().map(0x200_0083n).write(IOVA).status).toBe(0)
    const m = started().map(0x200_0003n)
    m.put(0x11_0000, 0x11_1083n)
    expect(m.write(IOVA).status).toBe(0x0c)
  })
  test('PS is reserved for a leaf size the unit lacks', () => {
    const without1G = CAP & ~(1n << 35n)
    const m = new BareUnit({ cap: without1G }).start().context(NIC)
    m.put(0x11_0000, 0x11_1003n)
    m.put(0x11_1008, 0x4000_0083n)
    expect(m.write(0x4000_0000n).status).toBe(0x0c)
  })
  test('low address bits of a large leaf are reserved', () => {
    const m = started()
    m.put(0x11_0000, 0x11_1003n)
    m.put(0x11_1000, 0x11_2003n, 0x2000_0083n)
    m.put(0x11_2000, 0x20_1083n)
    expect(m.write(0n).status).toBe(0x0c)
    expect(m.write(0x4000_0000n).status).toBe(0x0c)
  })
  test('SNP needs snoop control, TM needs device TLBs', () => {
    expect(started().map(0x200_0803n).write(IOVA).status).toBe(0)
    const plain = new BareUnit({ ecap: ECAP & ~0x84n }).start().context(NIC)
    expect(plain.map(0x200_0803n).write(IOVA).status).toBe(0x0c)
    expect(plain.map((1n << 62n) | 0x200_0003n).write(IOVA).status).toBe(0x0c)
  })
})

describe('tables that cannot be read', () => {
  test('the top one makes the context entry invalid, a lower one is 7', () => {
    expect(started().context(NIC, { table: 0x8000_0000 }).write(IOVA).status).toBe(0x03)
    const m = started()
    m.put(AT.TABLE, 0x8000_0003n)
    expect(m.write(IOVA).status).toBe(0x07)
  })
})

const tables = (m: BareUnit): BareUnit => {
  m.start().context(NIC)
  m.put(0x11_0000, 0x11_1003n)
  m.put(0x11_1000, 0x11_2003n)
  m.put(0x11_2008, 0xfee0_0083n)
  return m
}

describe('the interrupt window', () => {
  test('a page that leads into it is refused', () => {
    expect(started().map(0xfee0_0003n).write(IOVA).status).toBe(0x0e)
    expect(started().map(0xfeef_f003n).read(IOVA).status).toBe(0x0e)
    expect(started().map(0xfef0_0003n).write(IOVA).status).toBe(0)
  })
  test('a 2 MiB leaf over it is refused inside only; QEMU refuses the whole leaf', () => {
    const m = tables(new BareUnit())
    expect(m.dma(NIC, ACCESS.WRITE, 0x30_0000n, { length: 8192 })).toMatchObject({
      status: 0,
      hpa: 0xfef0_0000,
      bytes: 4096,
    })
    expect(m.write(0x2f_f000n).status).toBe(0x0e)
    expect(tables(new BareUnit({ personality: 'qemu' })).write(0x30_0000n).status).toBe(0x0e)
  })
  test('a 1 GiB leaf under it ends where it begins', () => {
    const m = started()
    m.put(0x11_0000, 0x11_1003n)
    m.put(0x11_1018, 0x83n)
    expect(m.dma(NIC, ACCESS.WRITE, 0xfedf_f800n, { length: 8192 })).toMatchObject({ hpa: 0x3edf_f800, bytes: 0x800 })
    expect(m.dma(NIC, ACCESS.WRITE, 0xfee0_0000n, { length: 8192 })).toMatchObject({ target: TARGET.INTERRUPT })
    expect(m.dma(NIC, ACCESS.WRITE, 0xfef0_0000n, { length: 8192 })).toMatchObject({ hpa: 0x3ef0_0000, bytes: 8192 })
  })
})
