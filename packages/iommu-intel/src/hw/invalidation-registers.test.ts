import { describe, expect, test } from 'vitest'
import { GCMD, REG } from '../spec/registers.ts'
import { AT, BareUnit, CAP, DISK, IOVA, NIC } from './bare-unit.test-kit.ts'

const IVA = 0xf0
const IOTLB = 0xf8
/** The page is cached, then changed in the table: 0x2000000 is stale, 0x2001000 fresh. */
function stale(options = {}): BareUnit {
  const m = new BareUnit(options).start().context(NIC).map(0x200_0003n)
  m.write(IOVA)
  m.map(0x200_1003n)
  return m
}
const landed = (m: BareUnit): number => m.write(IOVA).hpa

/** The function is moved from domain 1 to 5 and to other tables, without a word to the unit. */
const moved = (): BareUnit => {
  const m = stale()
  m.map(0x230_0003n, 0x12_0000).context(NIC, { table: 0x12_0000, domain: 5 })
  return m
}
const flush = (m: BareUnit): void => m.store(IOTLB, 0x9000_0000_0000_0000n, 8)

describe('IOTLB', () => {
  test('keeps a leaf until a command', () => {
    expect(landed(stale())).toBe(0x200_0000)
  })
  test('is emptied globally, by domain, by page; the register tells what was done', () => {
    const global = stale()
    global.store(IOTLB, 0x9003_0000_0000_0000n, 8)
    expect([landed(global), global.load(IOTLB, 8)]).toEqual([0x200_1000, 0x1203_0000_0000_0000n])
    const domain = stale()
    domain.store(IOTLB, 0xa003_0001_0000_0000n, 8)
    expect([landed(domain), domain.load(IOTLB, 8)]).toEqual([0x200_1000, 0x2403_0001_0000_0000n])
    const page = stale()
    page.store(IVA, 0x1234_5040, 8)
    page.store(IOTLB, 0xb003_0001_0000_0000n, 8)
    expect([landed(page), page.load(IOTLB, 8), page.load(IVA, 8)]).toEqual([0x200_1000, 0x3603_0001_0000_0000n, 0n])
  })
  test('keeps what a command does not name', () => {
    const m = stale()
    m.store(IOTLB, 0xa000_0002_0000_0000n, 8)
    m.store(IVA, 0x1234_6000, 8)
    m.store(IOTLB, 0xb000_0001_0000_0000n, 8)
    m.store(IVA, 0x1234_5000, 8)
    m.store(IOTLB, 0xb000_0009_0000_0000n, 8)
    expect(landed(m)).toBe(0x200_0000)
  })
  test('refuses granularity 0 and a mask beyond MAMV', () => {
    const m = stale()
    m.store(IOTLB, 0x8003_0000_0000_0000n, 8)
    expect(m.load(IOTLB, 8)).toBe(0x3_0000_0000_0000n)
    m.store(IVA, 0x1200_0013, 8)
    m.store(IOTLB, 0xb000_0001_0000_0000n, 8)
    expect([m.load(IOTLB, 8), landed(m)]).toEqual([0x3000_0001_0000_0000n, 0x200_0000])
  })
  test('does a page command by domain on a unit without page selection', () => {
    const m = stale({ cap: CAP & ~(1n << 39n) })
    m.store(IOTLB, 0xb000_0001_0000_0000n, 8)
    expect([m.load(IOTLB, 8), landed(m)]).toEqual([0x3400_0001_0000_0000n, 0x200_1000])
  })
  test('starts with the upper half when software writes halves', () => {
    const m = stale()
    m.store(IOTLB, 0)
    expect(landed(m)).toBe(0x200_0000)
    m.store(IOTLB + 4, 0x9000_0000)
    expect(landed(m)).toBe(0x200_1000)
  })
})

describe('CCMD', () => {
  test('drops context entries globally, by domain and by device', () => {
    const commands = [0xa000_0000_0000_0000n, 0xc000_0000_0000_0001n, 0xe000_0000_0010_0001n]
    const results = commands.map((command) => {
      const m = moved()
      m.store(REG.CCMD, command, 8)
      flush(m)
      return [m.load(REG.CCMD, 8), landed(m)]
    })
    expect(results).toEqual([
      [0x2800_0000_0000_0000n, 0x230_0000],
      [0x4800_0000_0000_0001n, 0x230_0000],
      [0x7800_0000_0000_0001n, 0x230_0000],
    ])
  })
  test('keeps the entry of another device', () => {
    const m = moved()
    m.store(REG.CCMD, 0xe000_0000_0018_0001n, 8)
    flush(m)
    expect(landed(m)).toBe(0x200_1000)
  })
  test('leaves the IOTLB alone: the function still has what it cached', () => {
    const m = moved()
    m.store(REG.CCMD, 0xa000_0000_0000_0000n, 8)
    expect(landed(m)).toBe(0x200_0000)
    m.store(IOTLB, 0xa000_0001_0000_0000n, 8)
    expect(landed(m)).toBe(0x230_0000)
  })
  test('refuses granularity 0', () => {
    const m = moved()
    m.store(REG.CCMD, 0x8000_0000_0000_0000n, 8)
    expect(m.load(REG.CCMD, 8)).toBe(0n)
  })
})

const share = (m: BareUnit): number => {
  m.start().context(NIC).context(DISK, { table: 0x12_0000 }).map(0x200_0003n).map(0x230_0003n, 0x12_0000)
  m.write(IOVA)
  return m.write(IOVA, DISK).hpa
}

test('functions of one domain share leaves; in QEMU they do not', () => {
  expect(share(new BareUnit())).toBe(0x200_0000)
  expect(share(new BareUnit({ personality: 'qemu' }))).toBe(0x230_0000)
})

const during = (m: BareUnit): bigint => {
  m.store(REG.IQA, AT.QUEUE, 8)
  m.command(GCMD.QIE)
  m.store(IOTLB, 0x9003_0000_0000_0000n, 8)
  return m.load(IOTLB, 8)
}

test('a register command is refused while the queue is on; in QEMU it hangs', () => {
  const m = stale()
  expect([during(m), landed(m)]).toEqual([0x1003_0000_0000_0000n, 0x200_0000])
  expect(during(stale({ personality: 'qemu' }))).toBe(0x9003_0000_0000_0000n)
})

test('a unit with lag finishes a command when software looks at any register', () => {
  const m = stale({ lag: true })
  m.store(IOTLB, 0x9000_0000_0000_0000n, 8)
  expect(landed(m)).toBe(0x200_0000)
  m.load(REG.VER)
  expect(landed(m)).toBe(0x200_1000)
})
