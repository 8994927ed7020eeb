import { expect, test } from 'vitest'
import { GCMD, REG } from '../spec/registers.ts'
import { ECAP, vtdMachine } from '../vtd-machine.test-kit.ts'
import type { DmarUnit } from './dmar-unit.ts'

const IR = GCMD.IRE | GCMD.SIRTP

test('a unit that can remap interrupts does so from boot on, with a table of its own', () => {
  const { driver, pages } = vtdMachine()
  const unit = driver.units[0] as DmarUnit
  expect(unit.registers.read(REG.GSTS) & IR).toBe(IR)
  expect(Number(unit.registers.read64(REG.IRTA) & ~0xfffn)).toBe(driver.interruptTables.get(unit)?.hpa)
  driver.close()
  expect(pages.allocated).toBe(0)
})

test('it stays off where the unit cannot, or firmware does not offer it', () => {
  const without = vtdMachine({ units: [{ ecap: ECAP & ~8n }] })
  const unwanted = vtdMachine({ driver: { interruptRemapping: false } })
  for (const { driver } of [without, unwanted]) {
    expect((driver.units[0] as DmarUnit).registers.read(REG.GSTS) & GCMD.IRE).toBe(0)
    expect(driver.interruptTables.size).toBe(0)
  }
})
