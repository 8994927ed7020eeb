import { ACCESS } from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { REG } from '../spec/registers.ts'
import { BareUnit, CAP, DISK, IOVA, NIC } from './bare-unit.test-kit.ts'

const GPU = 0x20
const FRCD = 0x220
const record = (m: BareUnit, i: number): bigint => m.load(FRCD + i * 16 + 8, 8)
const clear = (m: BareUnit, i: number): void => m.store(FRCD + i * 16 + 12, 0x8000_0000)
/** NFR is 1 in `CAP`: add registers. */
const withRecords = (n: number, more: { personality?: 'qemu' } = {}): BareUnit => {
  const m = new BareUnit({ cap: CAP | (BigInt(n - 1) << 40n), ...more }).start()
  for (const fn of [NIC, DISK, GPU]) m.context(fn)
  return m
}

describe('a record', () => {
  test('holds the page, the requester, the reason and the type', () => {
    const m = withRecords(3)
    m.write(IOVA + 0xffn)
    m.read(0x7abc_def1_2fffn, DISK)
    m.dma(GPU, ACCESS.ATOMIC, 0n)
    expect([m.load(FRCD, 8), record(m, 0)]).toEqual([0x1234_5000n, 0x8000_0005_0000_0010n])
    expect([m.load(FRCD + 16, 8), record(m, 1)]).toEqual([0x7abc_def1_2000n, 0xc000_0006_0000_0018n])
    expect(record(m, 2)).toBe(0xc000_0005_1000_0020n)
  })
  test('holds the PASID prefix and the address type', () => {
    const m = withRecords(2)
    m.dma(NIC, ACCESS.READ, IOVA, { pasid: 0xabcde, exec: true, priv: true })
    m.dma(NIC, ACCESS.WRITE, IOVA, { translated: true })
    expect(record(m, 0)).toBe(0xcabc_de31_e000_0010n)
    expect(record(m, 1)).toBe(0xa000_000d_0000_0010n)
  })
  test('keeps its other fields when software frees it', () => {
    const m = withRecords(1)
    m.write(IOVA)
    clear(m, 0)
    expect(record(m, 0)).toBe(0x5_0000_0010n)
    expect(m.load(REG.FSTS)).toBe(0n)
  })
  test('is not made while the context entry disables fault processing', () => {
    const m = withRecords(1)
    m.context(NIC, { low: 3n })
    expect(m.write(IOVA).status).toBe(0x05)
    // FPD counts in an entry that is not present, too.
    m.put(0x10_1180, 2n, 0n)
    expect(m.write(IOVA, DISK).status).toBe(0x02)
    expect(m.load(REG.FSTS)).toBe(0n)
  })
})

describe('the ring', () => {
  test('fills in order, FRI names the oldest pending record', () => {
    const m = withRecords(3)
    m.write(IOVA)
    m.write(IOVA, DISK)
    m.write(IOVA, GPU)
    expect(m.load(REG.FSTS)).toBe(0x2n)
    clear(m, 0)
    expect(m.load(REG.FSTS)).toBe(0x102n)
    clear(m, 2)
    expect(m.load(REG.FSTS)).toBe(0x102n)
    clear(m, 1)
    expect(m.load(REG.FSTS)).toBe(0n)
  })
  test('goes on behind the last record, not at the first free one', () => {
    const m = withRecords(2)
    m.write(IOVA)
    clear(m, 0)
    m.write(IOVA, DISK)
    expect(m.load(REG.FSTS)).toBe(0x102n)
    expect(record(m, 1)).toBe(0x8000_0005_0000_0018n)
  })
  test('overflows when the next record is pending, and then records nothing until PFO is cleared', () => {
    const m = withRecords(2)
    for (const fn of [NIC, DISK, GPU]) m.write(IOVA, fn)
    expect(m.load(REG.FSTS)).toBe(0x3n)
    clear(m, 0)
    clear(m, 1)
    m.write(IOVA, GPU)
    expect(m.load(REG.FSTS)).toBe(0x1n)
    m.store(REG.FSTS, 1)
    m.write(IOVA, GPU)
    expect(m.load(REG.FSTS)).toBe(0x2n)
    expect(record(m, 0)).toBe(0x8000_0005_0000_0020n)
  })
  test('drops a second fault of the same requester in QEMU, and overflows by the specification', () => {
    const qemu = withRecords(1, { personality: 'qemu' })
    qemu.write(IOVA)
    qemu.read(IOVA)
    expect(qemu.load(REG.FSTS)).toBe(0x2n)
    qemu.read(IOVA, DISK)
    expect(qemu.load(REG.FSTS)).toBe(0x3n)
    const m = withRecords(1)
    m.write(IOVA)
    m.read(IOVA)
    expect(m.load(REG.FSTS)).toBe(0x3n)
  })
})

const armed = (more: { personality?: 'qemu' } = {}): BareUnit => {
  const m = withRecords(2, more)
  m.store(REG.FEADDR, 0xfee0_1000)
  m.store(REG.FEUADDR, 1)
  m.store(REG.FEDATA, 0x41)
  return m
}

describe('the fault event', () => {
  test('is sent once until software has cleared the status', () => {
    const m = armed()
    m.store(REG.FECTL, 0)
    m.write(IOVA)
    m.write(IOVA, DISK)
    expect(m.raised).toEqual([{ address: 0x1_fee0_1000n, data: 0x41 }])
    clear(m, 0)
    clear(m, 1)
    m.write(IOVA, GPU)
    expect(m.raised).toHaveLength(2)
  })
  test('waits behind the mask', () => {
    const m = armed()
    m.write(IOVA)
    expect(m.load(REG.FECTL)).toBe(0xc000_0000n)
    expect(m.raised).toEqual([])
    m.store(REG.FECTL, 0)
    expect(m.raised).toHaveLength(1)
    expect(m.load(REG.FECTL)).toBe(0n)
  })
  test('is withdrawn with its cause; QEMU sends it all the same', () => {
    const m = armed()
    m.write(IOVA)
    clear(m, 0)
    m.store(REG.FECTL, 0)
    expect(m.raised).toEqual([])
    const qemu = armed({ personality: 'qemu' })
    qemu.write(IOVA)
    clear(qemu, 0)
    qemu.store(REG.FECTL, 0)
    expect(qemu.raised).toHaveLength(1)
  })
})
