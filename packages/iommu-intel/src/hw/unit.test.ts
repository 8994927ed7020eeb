import { ACCESS, DMA, TARGET, Trace } from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { GCMD, REG } from '../spec/registers.ts'
import { AT, BareUnit, DISK, ECAP, IOVA, NIC } from './bare-unit.test-kit.ts'
import { CTX, CTX_SHIFT } from './context-cache.ts'
import { LEAF } from './walk.ts'

const mapped = (leaf = 0x200_0003n, options = {}): BareUnit => new BareUnit(options).start().context(NIC).map(leaf)

describe('modes', () => {
  test('nothing is translated before TE', () => {
    const m = new BareUnit()
    expect(m.write(IOVA)).toMatchObject({ status: DMA.OK, hpa: Number(IOVA), target: TARGET.MEMORY })
    expect(m.dma(NIC, ACCESS.WRITE, 0xfee0_0000n, { length: 4 })).toMatchObject({ target: TARGET.INTERRUPT, bytes: 4 })
  })
  test('GSTS follows GCMD, one-shots included', () => {
    const m = mapped()
    expect(m.load(REG.GSTS)).toBe(0xc000_0000n)
    expect(m.load(REG.GCMD)).toBe(0n)
    m.command(GCMD.SIRTP)
    m.command(GCMD.IRE)
    expect(m.load(REG.GSTS)).toBe(0xc300_0000n)
    m.store(REG.GCMD, 0)
    expect(m.load(REG.GSTS)).toBe(0x4100_0000n)
  })
  test('a unit without interrupt remapping has no such status', () => {
    const m = new BareUnit({ ecap: ECAP & ~8n })
    m.command(GCMD.SIRTP | GCMD.IRE)
    expect(m.load(REG.GSTS)).toBe(0n)
    const qemu = new BareUnit({ ecap: ECAP & ~8n, personality: 'qemu' })
    qemu.command(GCMD.SIRTP | GCMD.IRE)
    expect(qemu.load(REG.GSTS)).toBe(0x100_0000n)
  })
  test('a new root table counts from SRTP on, which empties the caches', () => {
    const m = mapped()
    m.write(IOVA)
    m.store(REG.RTADDR, 0x30_0000, 8)
    expect(m.write(IOVA).status).toBe(DMA.OK)
    m.command(GCMD.SRTP)
    expect(m.write(IOVA).status).toBe(0x01)
  })
  test('turning translation off and on empties the caches', () => {
    const m = mapped()
    m.write(IOVA)
    m.map(0x200_1003n)
    m.store(REG.GCMD, 0)
    expect(m.write(IOVA).hpa).toBe(Number(IOVA))
    m.command(GCMD.TE)
    expect(m.write(IOVA).hpa).toBe(0x200_1000)
  })
  test('a table mode the unit lacks refuses everything but interrupts', () => {
    const m = mapped()
    m.store(REG.RTADDR, 0x10_0400, 8)
    m.command(GCMD.SRTP)
    expect(m.write(IOVA).status).toBe(0x30)
    expect(m.dma(NIC, ACCESS.WRITE, 0xfee0_0000n, { length: 4 }).target).toBe(TARGET.INTERRUPT)
    const qemu = mapped(0x200_0003n, { personality: 'qemu' })
    qemu.store(REG.RTADDR, 0x10_0400, 8)
    qemu.command(GCMD.SRTP)
    expect(qemu.write(IOVA).status).toBe(DMA.OK)
  })
})

describe('requests', () => {
  test('with PASID are refused in legacy mode', () => {
    expect(mapped().dma(NIC, ACCESS.READ, IOVA, { pasid: 3 }).status).toBe(0x31)
  })
  test('translated before need a context entry that allows device TLBs', () => {
    const m = mapped()
    expect(m.dma(NIC, ACCESS.WRITE, 0x200_0000n, { translated: true }).status).toBe(0x0d)
    const ats = new BareUnit().start().context(NIC, { low: 5n })
    expect(ats.dma(NIC, ACCESS.WRITE, 0x200_0000n, { translated: true })).toMatchObject({
      status: DMA.OK,
      hpa: 0x200_0000,
    })
    expect(ats.dma(NIC, ACCESS.WRITE, 0xfee0_0000n, { translated: true }).status).toBe(0x0e)
  })
  test('to the interrupt window pass the tables by', () => {
    const m = mapped()
    expect(m.dma(NIC, ACCESS.WRITE, 0xfeef_fff8n, { length: 64 })).toMatchObject({
      status: DMA.OK,
      target: TARGET.INTERRUPT,
      bytes: 8,
    })
    expect(m.read(0xfee0_0000n).target).toBe(TARGET.INTERRUPT)
  })
  test('are answered for one leaf at a time', () => {
    const m = mapped()
    expect(m.dma(NIC, ACCESS.WRITE, IOVA + 0xff0n, { length: 100 })).toMatchObject({ hpa: 0x200_0ff0, bytes: 16 })
    expect(m.dma(NIC, ACCESS.WRITE, IOVA + 0xff0n, { length: 100 })).toMatchObject({ hpa: 0x200_0ff0, bytes: 16 })
  })
  test('are answered for neighbours at once when both are cached', () => {
    const m = mapped()
    m.put(AT.TABLE + 0x3000 + 0x146 * 8, 0x200_1003n)
    m.write(IOVA + 0x1000n)
    expect(m.dma(NIC, ACCESS.WRITE, IOVA + 0xff0n, { length: 100 })).toMatchObject({ hpa: 0x200_0ff0, bytes: 16 })
    expect(m.dma(NIC, ACCESS.WRITE, IOVA + 0xff0n, { length: 100 })).toMatchObject({ hpa: 0x200_0ff0, bytes: 100 })
  })
  test('hit in every way of a set', () => {
    const m = mapped()
    const pages = [0n, 1n, 2n, 3n].map((i) => IOVA + (i << 21n))
    for (let i = 1; i < 4; i++) {
      m.put(AT.TABLE + 0x2000 + (0x91 + i) * 8, BigInt(AT.TABLE + 0x3003 + i * 0x1000))
      m.put(AT.TABLE + 0x3000 + i * 0x1000 + 0x145 * 8, BigInt(0x200_0003 + i * 0x1000))
    }
    for (const iova of pages) m.write(iova)
    m.put(AT.TABLE, 0n)
    expect(pages.map((iova) => m.write(iova).hpa)).toEqual([0x200_0000, 0x200_1000, 0x200_2000, 0x200_3000])
  })
  test('of several functions go by the context entry of each', () => {
    const m = mapped().context(DISK, { domain: 2, table: 0x12_0000 }).map(0x210_0003n, 0x12_0000)
    const answers = [NIC, DISK, NIC, DISK].map((fn) => m.write(IOVA, fn).hpa)
    expect(answers).toEqual([0x200_0000, 0x210_0000, 0x200_0000, 0x210_0000])
  })
})

const snooped = (m: BareUnit, noSnoop: boolean, iova = IOVA): boolean =>
  m.dma(NIC, ACCESS.WRITE, iova, { noSnoop }).snooped

describe('No Snoop', () => {
  test('is overridden by SNP in the leaf, cached or not', () => {
    const m = mapped(0x200_0803n)
    expect([snooped(m, true), snooped(m, true), snooped(m, false)]).toEqual([true, true, true])
  })
  test('stands without SNP, and in pass-through', () => {
    const m = mapped()
    expect([snooped(m, true), snooped(m, true), snooped(m, false)]).toEqual([false, false, true])
    const through = new BareUnit().start().context(NIC, { low: 9n })
    expect([snooped(through, true), snooped(through, false)]).toEqual([false, true])
  })
})

describe('a cached leaf without the permission', () => {
  test('sends the request to the tables again', () => {
    const m = mapped(0x200_0001n)
    expect(m.read(IOVA).status).toBe(DMA.OK)
    expect(m.write(IOVA).status).toBe(0x05)
    m.map(0x200_1003n)
    expect(m.write(IOVA)).toMatchObject({ status: DMA.OK, hpa: 0x200_1000 })
  })
  test('ends it unrecorded in QEMU', () => {
    const m = mapped(0x200_0001n, { personality: 'qemu' })
    m.read(IOVA)
    m.map(0x200_1003n)
    expect(m.write(IOVA).status).toBe(DMA.NO_TARGET)
    expect(m.load(REG.FSTS)).toBe(0n)
  })
})

test('an absent leaf is not cached', () => {
  const m = mapped(0n)
  expect(m.write(IOVA).status).toBe(0x05)
  m.map(0x200_0003n)
  expect(m.write(IOVA).status).toBe(DMA.OK)
})

test('tells a trace of each walk, and of no hit', () => {
  const trace = new Trace()
  const walks: number[] = []
  trace.on('walk', (event) => walks.push(event.status))
  const m = new BareUnit({}, trace).start().context(NIC).map(0x200_0003n)
  for (const iova of [IOVA, IOVA, IOVA + 0x1000n]) m.write(iova)
  expect(walks).toEqual([0, 5])
})

test('the literals of the hit path are the constants they stand for', () => {
  expect([CTX.VALID, CTX.FPD, CTX.PASS_THROUGH, CTX.MOVED, CTX_SHIFT]).toEqual([1, 2, 8, 0x80, 2])
  expect([LEAF.SNOOP, TARGET.MEMORY, DMA.OK]).toEqual([4, 1, 0])
})
