import { expect, test } from 'vitest'
import { BareUnit, RW } from './bare-unit.test-kit.ts'

const IOVA = 0x1234_5000n

test('a unit that is off lets everything pass', () => {
  const unit = new BareUnit().fourLevels().store(0x18, 0n)
  expect(unit.ask(IOVA, { length: 64 })).toEqual({ status: 0, hpa: 0x1234_5000, bytes: 64, snooped: true })
})
test('functions of one domain share what is cached', () => {
  const unit = new BareUnit().fourLevels()
  unit.ask(IOVA)
  unit.put(0x11_3a28, 0n)
  expect(unit.ask(IOVA, { requester: 0x18 }).hpa).toBe(0x200_0000)
})
test('pages that follow one another are one answer', () => {
  const unit = new BareUnit().fourLevels().put(0x11_3a30, RW | 0x200_1001n)
  unit.ask(IOVA)
  unit.ask(IOVA + 0x1000n)
  expect(unit.ask(IOVA + 8n, { length: 0x3000 }).bytes).toBe(0x1ff8)
})
test('a unit like QEMU’s tells of a page fault what was wanted', () => {
  const unit = new BareUnit({ personality: 'qemu' }).device(0x10, RW | 0x11_0803n, 1n).command(0x2000_0000_0000_0010n)
  expect(unit.unit.reasonText(unit.ask(0x9000n).status)).toBe('IO_PAGE_FAULT: read: the tables do not allow the access')
})
