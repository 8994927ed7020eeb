import { describe, expect, test } from 'vitest'
import { GCMD, IQEI, REG } from '../spec/registers.ts'
import { AT, BareUnit, ECAP, IOVA, NIC } from './bare-unit.test-kit.ts'

const SMTS = { ecap: ECAP | (1n << 43n) }
/** The page is cached, then changed in the table. */
function stale(options = {}): BareUnit {
  const m = new BareUnit(options).start().context(NIC).map(0x200_0003n)
  m.write(IOVA)
  m.map(0x200_1003n)
  return m
}
const landed = (m: BareUnit): number => m.write(IOVA).hpa
const WAIT: readonly [bigint, bigint] = [0x7_0000_0025n, BigInt(AT.STATUS)]
const GLOBAL: readonly [bigint, bigint] = [0xd2n, 0n]

const after = (domain: bigint, options = {}): number => {
  const m = stale(options)
  m.map(0x230_0003n, 0x12_0000).context(NIC, { table: 0x12_0000, domain: 5 })
  m.queue([(domain << 16n) | 0x21n, 0n], GLOBAL)
  return landed(m)
}

describe('descriptors', () => {
  test('IOTLB: global, domain, page and range', () => {
    const fresh = ([GLOBAL, [0x1_0022n, 0n], [0x1_0032n, 0x1234_5000n], [0x1_0032n, 0x1220_0009n]] as const).map(
      (d) => {
        const m = stale()
        m.queue(d)
        return landed(m)
      },
    )
    expect(fresh).toEqual([0x200_1000, 0x200_1000, 0x200_1000, 0x200_1000])
  })
  test('IOTLB: another domain, another page', () => {
    const m = stale()
    m.queue([0x2_0022n, 0n], [0x1_0032n, 0x1234_6000n], [0x2_0032n, 0x1234_5000n])
    expect([landed(m), m.load(REG.IQH, 8)]).toEqual([0x200_0000, 0x30n])
  })
  test('context: exactly the domain named; QEMU drops all', () => {
    expect([after(1n), after(5n), after(5n, { personality: 'qemu' })]).toEqual([0x230_0000, 0x200_1000, 0x230_0000])
  })
  test.each(['specification', 'qemu'] as const)('wait: status word and completion event, %s', (personality) => {
    const m = new BareUnit({ personality })
    m.store(REG.IEADDR, 0xfee0_2000)
    m.store(REG.IEDATA, 0x52)
    m.put(AT.STATUS, 0xffff_ffff_0000_0000n)
    m.queue([0x7_0000_0075n, BigInt(AT.STATUS)])
    expect(m.word(AT.STATUS)).toBe(0xffff_ffff_0000_0007n)
    expect([m.load(REG.ICS), m.load(REG.IECTL)]).toEqual([1n, 0xc000_0000n])
    m.store(REG.IECTL, 0)
    expect(m.raised).toEqual([{ address: 0xfee0_2000n, data: 0x52 }])
  })
  test('wait: a bare fence has nothing to do', () => {
    const m = new BareUnit()
    m.queue([0x45n, 0n], WAIT)
    expect([m.load(REG.IQH, 8), m.load(REG.FSTS), m.word(AT.STATUS)]).toEqual([0x20n, 0n, 7n])
  })
  test('wait: one completion event until ICS is cleared', () => {
    const m = new BareUnit()
    m.store(REG.IECTL, 0)
    m.queue([0x15n, 0n], [0x15n, 0n])
    expect(m.raised).toHaveLength(1)
    m.store(REG.ICS, 1)
    m.put(AT.QUEUE + 0x20, 0x15n, 0n)
    m.store(REG.IQT, 0x30, 8)
    expect(m.raised).toHaveLength(2)
  })
  test('device TLB and interrupt entry cache: complete at once', () => {
    const m = new BareUnit()
    m.queue([0x10_0000_0003n, 0x1234_5000n], [0x4n, 0n], [0x5_0000_0014n, 0n], WAIT)
    expect([m.load(REG.IQH, 8), m.word(AT.STATUS)]).toEqual([0x40n, 7n])
  })
})

const stopped = (descriptor: readonly [bigint, bigint], options = {}): readonly [number, number, number] => {
  const m = new BareUnit(options)
  m.queue(descriptor, WAIT)
  return [Number(m.load(REG.IQH, 8)), Number(m.load(REG.FSTS)), Number(m.load(REG.IQERCD, 8))]
}

describe('a descriptor that is not legal stops the queue', () => {
  test('unknown types, PASID types in a narrow queue', () => {
    expect(stopped([0n, 0n])).toEqual([0, 0x10, IQEI.TYPE])
    expect(stopped([0xfn, 0n])).toEqual([0, 0x10, IQEI.TYPE])
    expect(stopped([0x202n, 0n])).toEqual([0, 0x10, IQEI.TYPE])
    expect(stopped([0x37n, 0n], SMTS)).toEqual([0, 0x10, IQEI.TYPE])
  })
  test('reserved bits', () => {
    expect(stopped([0x1_0000_0000_0012n, 0n])).toEqual([0, 0x10, IQEI.RESERVED])
    expect(stopped([0x112n, 0n])).toEqual([0, 0x10, IQEI.RESERVED])
    expect(stopped([0x11n, 1n])).toEqual([0, 0x10, IQEI.RESERVED])
    expect(stopped([0x4_0000_0000_0031n, 0n])).toEqual([0, 0x10, IQEI.RESERVED])
    expect(stopped([0x24n, 0n])).toEqual([0, 0x10, IQEI.RESERVED])
    expect(stopped([0x1_0000_0025n, 0x23_0003n])).toEqual([0, 0x10, IQEI.RESERVED])
    expect(stopped([0x10_0025n, 0x23_0000n])).toEqual([0, 0x10, IQEI.RESERVED])
  })
  test('granularity 0, a mask beyond MAMV, a wait for nothing', () => {
    expect(stopped([0x1n, 0n])).toEqual([0, 0x10, IQEI.PROGRAMMING])
    expect(stopped([0x2n, 0n])).toEqual([0, 0x10, IQEI.PROGRAMMING])
    expect(stopped([0x1_0032n, 0x3fn])).toEqual([0, 0x10, IQEI.PROGRAMMING])
    expect(stopped([0x5n, 0n])).toEqual([0, 0x10, IQEI.PROGRAMMING])
  })
  test('a status word where nothing is', () => {
    expect(stopped([0x1_0000_0025n, 0x8000_0000n])).toEqual([0, 0x10, IQEI.STATUS_WRITE])
  })
  test('and it goes on at the next tail write after software cleared IQE', () => {
    const m = new BareUnit()
    m.store(REG.FECTL, 0)
    m.queue([0xfn, 0n], WAIT)
    expect(m.raised).toHaveLength(1)
    m.put(AT.QUEUE, 0xd2n, 0n)
    m.store(REG.IQT, 0x20, 8)
    expect(m.load(REG.IQH, 8)).toBe(0n)
    m.store(REG.FSTS, 0x10)
    expect([m.load(REG.IQH, 8), m.load(REG.FSTS)]).toEqual([0n, 0n])
    m.store(REG.IQT, 0x20, 8)
    expect([m.load(REG.IQH, 8), m.word(AT.STATUS)]).toEqual([0x20n, 7n])
  })
})

const off = (m: BareUnit, last: readonly [bigint, bigint]): readonly bigint[] => {
  m.queue(last)
  m.store(REG.GCMD, 0)
  return [m.load(REG.GSTS), m.load(REG.IQH, 8), m.load(REG.IQT, 8)]
}

describe('the ring', () => {
  test('wraps at its end', () => {
    const m = new BareUnit()
    m.queue(...Array.from({ length: 255 }, () => GLOBAL))
    expect(m.load(REG.IQH, 8)).toBe(0xff0n)
    m.put(AT.QUEUE + 0xff0, ...WAIT)
    m.store(REG.IQT, 0, 8)
    expect([m.load(REG.IQH, 8), m.word(AT.STATUS)]).toEqual([0n, 7n])
  })
  test('refuses a tail outside, and memory that is not there', () => {
    const m = new BareUnit()
    m.queue()
    m.store(REG.IQT, 0x1000, 8)
    expect([m.load(REG.FSTS), m.load(REG.IQERCD, 8)]).toEqual([0x10n, BigInt(IQEI.TAIL)])
    const hole = new BareUnit()
    hole.store(REG.IQA, 0x8000_0000n, 8)
    hole.command(GCMD.QIE)
    hole.store(REG.IQT, 0x10, 8)
    expect([hole.load(REG.FSTS), hole.load(REG.IQERCD, 8)]).toEqual([0x10n, BigInt(IQEI.FETCH)])
  })
  test('works off a tail that was written before it was enabled', () => {
    const m = new BareUnit()
    m.put(AT.QUEUE, ...WAIT)
    m.store(REG.IQA, AT.QUEUE, 8)
    m.store(REG.IQT, 0x10, 8)
    m.command(GCMD.QIE)
    expect([m.load(REG.IQH, 8), m.word(AT.STATUS)]).toEqual([0x10n, 7n])
  })
  test('starts over when it was disabled; QEMU does so behind a wait only', () => {
    expect(off(new BareUnit(), GLOBAL)).toEqual([0n, 0n, 0x10n])
    expect(off(new BareUnit({ personality: 'qemu' }), GLOBAL)).toEqual([0x400_0000n, 0x10n, 0x10n])
    const qemu = new BareUnit({ personality: 'qemu' })
    expect(off(qemu, WAIT)).toEqual([0n, 0n, 0x10n])
    qemu.store(REG.IQT, 0, 8)
    qemu.command(GCMD.QIE)
    qemu.store(REG.GCMD, 0)
    expect(qemu.load(REG.GSTS)).toBe(0n)
  })
  test('does not exist without ECAP.QI', () => {
    const m = new BareUnit({ ecap: ECAP & ~2n })
    m.queue(WAIT)
    expect([m.load(REG.GSTS), m.word(AT.STATUS)]).toEqual([0n, 0n])
  })
})

const wide = (m: BareUnit, ...words: readonly bigint[]): BareUnit => {
  m.put(AT.QUEUE, ...words)
  m.store(REG.IQA, AT.QUEUE | 0x800, 8)
  m.command(GCMD.QIE)
  m.store(REG.IQT, words.length * 8, 8)
  return m
}

describe('256-bit descriptors', () => {
  test('step by 32 bytes', () => {
    const m = wide(new BareUnit(SMTS), 0x37n, 0n, 0n, 0n, ...WAIT, 0n, 0n)
    expect([m.load(REG.IQH, 8), m.word(AT.STATUS)]).toEqual([0x40n, 7n])
  })
  test('reserve their upper half', () => {
    const m = wide(new BareUnit(SMTS), ...WAIT, 1n, 0n)
    expect([m.load(REG.IQH, 8), m.load(REG.FSTS)]).toEqual([0n, 0x10n])
  })
  test('have a tail that is a multiple of 32', () => {
    const m = wide(new BareUnit(SMTS), ...WAIT, 0n, 0n)
    m.store(REG.IQT, 0x30, 8)
    expect([m.load(REG.IQH, 8), m.load(REG.FSTS), m.load(REG.IQERCD, 8)]).toEqual([0x20n, 0x10n, BigInt(IQEI.TAIL)])
  })
  test('do not exist without scalable mode', () => {
    const m = wide(new BareUnit(), ...WAIT)
    expect([m.load(REG.IQH, 8), m.word(AT.STATUS)]).toEqual([0x10n, 7n])
  })
})

describe('a queue with lag', () => {
  test('does nothing until software loads a register or the unit is polled', () => {
    const m = stale({ lag: true })
    m.queue(GLOBAL, WAIT)
    expect([landed(m), m.word(AT.STATUS)]).toEqual([0x200_0000, 0n])
    m.load(REG.FSTS)
    expect([landed(m), m.word(AT.STATUS)]).toEqual([0x200_1000, 7n])
    m.map(0x200_2003n)
    m.put(AT.QUEUE + 0x20, ...GLOBAL)
    m.store(REG.IQT, 0x30, 8)
    expect(landed(m)).toBe(0x200_1000)
    m.unit.poll()
    expect(landed(m)).toBe(0x200_2000)
  })
})
