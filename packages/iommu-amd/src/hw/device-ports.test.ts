/** ATS and page requests: the unit's side, and a device's translation cache on top of it. */
import {
  ACCESS,
  DMA,
  DmaFabric,
  InterruptController,
  NO_PASID,
  type PageRequest,
  Trace,
  TranslatedPort,
} from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { BareUnit, FULL, IR, RW } from './bare-unit.test-kit.ts'

const I = 1n << 32n
const PPR = 1n << 52n
const IOVA = 0x1234_5000n
/** The four levels of the kit, with ATS and page requests allowed; the page request log at 0x260000. */
function unitWithDevices(leaf?: bigint, control = 0xe000n): BareUnit {
  const unit = new BareUnit(FULL, 0n).fourLevels(leaf).device(0x10, RW | PPR | 0x11_0803n, I | 1n)
  return unit.store(0x38, 0x0800_0000_0026_0000n).store(0x18, 0x1005n | control)
}

describe('a translation request', () => {
  test('is granted what the tables allow', () => {
    expect(unitWithDevices(IR | 0x200_0001n).ats(IOVA)).toMatchObject({
      status: 'success',
      read: true,
      write: false,
      hpaLo: 0x200_0000,
    })
  })
  test('of a page that is not there is granted nothing, and logged nowhere', () => {
    const unit = unitWithDevices(0n)
    expect(unit.ats(IOVA)).toMatchObject({ status: 'success', read: false, write: false })
    expect(unit.events()).toEqual([])
  })
  test('of a function without I is unsupported', () => {
    const unit = unitWithDevices()
    expect(unit.ats(IOVA, { requester: 0x18 }).status).toBe('ur')
  })
  test('aborts where a table cannot be read', () => {
    const unit = unitWithDevices().put(0x11_2488, RW | 0x8000_0201n)
    expect(unit.ats(IOVA).status).toBe('ca')
    expect(unit.events()).toEqual([[0x4300_0001_0000_0010n, 0x8000_0a28n]])
  })
})
describe('a translated request', () => {
  test('goes where it says', () => {
    expect(unitWithDevices().ask(0x30_0000n, { translated: true }).hpa).toBe(0x30_0000)
  })
  test('of a function without I is refused', () => {
    const unit = unitWithDevices()
    unit.ask(0x30_0000n, { translated: true, requester: 0x18, access: ACCESS.WRITE })
    expect(unit.events()).toEqual([[0x8220_0000_0000_0018n, 0x30_0000n]])
  })
})

const request = (over: Partial<PageRequest> = {}): PageRequest & { answers: string[] } => {
  const answers: string[] = []
  const base = {
    requester: 0x10,
    pasid: NO_PASID,
    iova: IOVA,
    read: true,
    write: false,
    exec: false,
    priv: false,
    last: true,
    group: 5,
  }
  return { ...base, ...over, answers, respond: (code) => void answers.push(code) }
}
describe('a page request', () => {
  test('stands in the log, and hears what COMPLETE_PPR_REQUEST says', () => {
    const unit = unitWithDevices()
    const one = request({ pasid: 0xa_bcde, write: true })
    expect(unit.unit.pri.request(one)).toBe(true)
    expect([unit.word(0x26_0000), unit.word(0x26_0008), unit.load(0x2038)]).toEqual([
      0x1164_2a05_bcde_0010n,
      IOVA,
      0x10n,
    ])
    unit.command(0x7000_0000_0000_0010n | (0xabcden << 32n), (5n << 32n) | 4n)
    expect([one.answers, unit.stray]).toEqual([['success'], []])
  })
  test.each([
    [1n, 'invalid'],
    [15n, 'failure'],
  ])('response code %i is told as %s', (code, word) => {
    const unit = unitWithDevices()
    const one = request()
    unit.unit.pri.request(one)
    unit.command(0x7000_0000_0000_0010n, (code << 44n) | (5n << 32n))
    expect(one.answers).toEqual([word])
  })
  test('of a function without PPR is an invalid one', () => {
    const unit = unitWithDevices()
    const one = request({ requester: 0x18, pasid: 0xa_bcde })
    expect([unit.unit.pri.request(one), one.answers]).toEqual([false, ['failure']])
    // As drivers/iommu/amd/iommu.c takes it apart: PPR_PASID of the first word, tag in bits 41:32.
    expect(unit.events()).toEqual([[0x9001_2a05_bcde_0018n, IOVA]])
  })
  test('that finds the log full is lost, and the log stands still', () => {
    const unit = unitWithDevices().store(0x2030, 0x10n)
    const one = request()
    expect([unit.unit.pri.request(one), one.answers, unit.load(0x2020) & 0xe0n]).toEqual([false, ['failure'], 0x20n])
  })
  test('interrupts if asked', () => {
    const unit = unitWithDevices()
    unit.unit.interrupts.msi.enabled = true
    unit.unit.pri.request(request())
    expect(unit.raised.length).toBe(1)
  })
  test('without an answer is told to the audit', () => {
    const unit = unitWithDevices()
    unit.unit.pri.request(request())
    expect(unit.unit.inspect()).toContainEqual(expect.objectContaining({ kind: 'count', actual: 1, expected: 0 }))
  })
})

const deviceOf = (unit: BareUnit, options = {}): TranslatedPort => {
  const bus = new DmaFabric(unit.memory, new InterruptController(), new Trace())
  bus.addUnit(unit.unit)
  return new TranslatedPort(bus.port(0, 0x10), unit.unit, options)
}

describe('a device with a translation cache', () => {
  const data = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)

  test('uses what it kept until INVALIDATE_IOTLB_PAGES; the wait behind it ends then', () => {
    const unit = unitWithDevices()
    const device = deviceOf(unit)
    device.write(IOVA, data)
    unit.put(0x11_3a28, RW | 0x200_1001n).command(0x3000_0001_0000_0000n, IOVA)
    device.write(IOVA + 8n, data)
    expect(unit.word(0x200_0008)).toBe(0x807_0605_0403_0201n)
    unit.command(0x4000_0000_0000_0010n, IOVA).command(0x1000_0000_0023_0001n, 1n)
    device.write(IOVA + 16n, data)
    expect([unit.word(0x200_1010), unit.word(0x23_0000)]).toEqual([0x807_0605_0403_0201n, 1n])
  })
  test('that does not answer holds the wait, until its time is out', () => {
    const unit = unitWithDevices(undefined, 0x20n)
    const device = deviceOf(unit)
    device.answers = false
    unit.command(0x4000_0000_0000_0010n, IOVA).command(0x1000_0000_0023_0001n, 1n)
    expect(unit.word(0x23_0000)).toBe(0n)
    unit.clock.advance(1)
    expect([unit.word(0x23_0000), unit.events()]).toEqual([1n, [[0x7000_0000_0000_0010n, 0x24_0000n]]])
  })
  test('asks for a page, waits, and goes on once it is there', () => {
    const unit = unitWithDevices(0n)
    const device = deviceOf(unit, { pageRequests: 4 })
    let resumed = false
    device.resumed = () => (resumed = true)
    expect(device.write(IOVA, data)).toBe(DMA.PENDING)
    unit.put(0x11_3a28, RW | 0x200_0001n)
    unit.command(0x7000_0000_0000_0010n, 0n)
    expect([resumed, device.write(IOVA, data), unit.word(0x200_0000)]).toEqual([true, DMA.OK, 0x807_0605_0403_0201n])
  })
})
