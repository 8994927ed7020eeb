import { expect, test } from 'vitest'
import { BareUnit, FULL, RW } from './bare-unit.test-kit.ts'

const faulty = (options = {}, control = 0n): BareUnit =>
  new BareUnit(options, control).device(0x10, RW | 0x11_0803n, 1n)

test('entries follow one another and wrap', () => {
  const unit = faulty().store(0x2010, 0xff0n).store(0x2018, 0xff0n)
  unit.ask(0x1000n)
  unit.ask(0x2000n)
  expect(unit.load(0x2018)).toBe(0x10n)
  expect(unit.events()).toEqual([
    [0x2000_0001_0000_0010n, 0x1000n],
    [0x2000_0001_0000_0010n, 0x2000n],
  ])
})
test('a full log loses the event, says so and stands still until it is restarted', () => {
  const unit = faulty().store(0x2010, 0x20n).store(0x2018, 0x10n)
  unit.ask(0x1000n)
  expect([unit.load(0x2018), unit.load(0x2020) & 9n]).toEqual([0x10n, 1n])
  unit.store(0x2010, 0x10n)
  unit.ask(0x2000n)
  expect(unit.load(0x2018)).toBe(0x10n)
  unit.store(0x18, 0x1001n).store(0x2020, 1n).store(0x18, 0x1005n)
  unit.ask(0x3000n)
  expect([unit.load(0x2018), unit.load(0x2020) & 9n, unit.word(0x25_0018)]).toEqual([0x20n, 8n, 0x3000n])
})
test('each entry interrupts if asked, and sets EventLogInt anyhow', () => {
  const unit = faulty()
  unit.unit.interrupts.msi.enabled = true
  unit.ask(0n)
  expect([unit.load(0x2020) & 2n, unit.raised.length]).toEqual([2n, 0])
  unit.store(0x18, 0x100dn)
  unit.ask(0n)
  expect(unit.raised.length).toBe(1)
})
test('nothing is logged while logging is off', () => {
  const unit = faulty().store(0x18, 0x1001n)
  expect([unit.ask(0n).status, unit.load(0x2018), unit.load(0x2020) & 8n]).toEqual([2, 0n, 0n])
})
test('the hardware event registers keep the first event until software frees them', () => {
  const unit = new BareUnit({ ...FULL, efr: FULL.efr | 0x100n }).store(0, 0x8000_0000n)
  unit.ask(0n)
  unit.ask(0n, { requester: 0x18 })
  expect([unit.load(0x48), unit.load(0x40), unit.load(0x50)]).toEqual([0x3200_0000_0000_0010n, 0x8000_0200n, 6n])
  unit.store(0x50, 6n)
  expect(unit.load(0x50)).toBe(0n)
})
test('with IntCapXTEn interrupts come from the XT registers', () => {
  const unit = faulty({ ...FULL, efr: FULL.efr | 4n }, 8n | (1n << 51n))
  unit.store(0x170, (0x12n << 56n) | (0x61n << 32n) | (0x34_5678n << 8n) | 4n)
  unit.ask(0n)
  expect(unit.raised).toEqual([{ address: (0x12_3456n << 40n) | 0xfee7_8004n, data: 0x61 }])
})
test('the MSI capability has a mirror where the unit says so', () => {
  const unit = faulty({ ...FULL, efr: FULL.efr | (1n << 46n) }, 8n)
  unit.unit.mmio.store(0x15c, 4, 0xfee0_1000n)
  unit.unit.mmio.store(0x164, 4, 0x42n)
  unit.unit.mmio.store(0x158, 4, 0x1_0000n)
  unit.ask(0n)
  expect(unit.raised).toEqual([{ address: 0xfee0_1000n, data: 0x42 }])
})
