import { flushGather, type PagingDomain } from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { CAP, ECAP, run, vtdMachine, type VtdMachine } from '../vtd-machine.test-kit.ts'
import { contextsText, domainText, interruptsText, registersText } from './debug-text.ts'

const RW = { read: true, write: true }
const HUGE = 0x20_0000

function attached(machine: VtdMachine, slot: number, alias?: number): PagingDomain {
  const { device } = machine.add(slot, alias)
  const domain = device.paging?.alloc({}) as PagingDomain
  device.attach(domain, {})
  return domain
}
/** The low digits of each column. */
const low = (line: string | undefined): string[] => (line ?? '').split('\t').map((entry) => entry.slice(-3))
const lines = (text: string): string[] => text.split('\n')

test('registers: every one with its offset, as the unit holds it', () => {
  const machine = vtdMachine()
  const text = lines(registersText(machine.driver.units))
  expect(text.slice(0, 3)).toEqual([
    'IOMMU: dmar0 Register Base Address: fed90000',
    'Name\t\t\tOffset\t\tContents',
    'VER             \t0x00\t\t0x0000000000000010',
  ])
  expect(text).toContain(`CAP             \t0x08\t\t0x${CAP.toString(16).padStart(16, '0')}`)
  expect(text).toContain(`ECAP            \t0x10\t\t0x${ECAP.toString(16).padStart(16, '0')}`)
  expect(text).toContain('MTRR_PHYSMASK9  \t0x218\t\t0x0000000000000000')
  expect(text.length).toBe(66)
})

describe('context entries', () => {
  test('each present one with its root entry; PASIDs there are none', () => {
    const machine = vtdMachine()
    const domain = attached(machine, 2)
    attached(machine, 3, 0x400)
    const text = lines(contextsText(machine.driver.units))
    expect(text[0]).toMatch(/^IOMMU dmar0: Root Table Address: 0x[0-9a-f]+$/)
    expect(text.slice(2, -2).map((line) => line.split('\t')[0])).toEqual(['00:02.0', '00:03.0', '04:00.0'])
    const zero = '0x0000000000000000'
    expect(text[2]).toMatch(
      new RegExp(
        `^00:02.0\t${zero}:0x[0-9a-f]{13}001\t0x[0-9a-f]{15}2:0x[0-9a-f]{13}001\t-1 {4}\t${zero}:${zero}:${zero}$`,
      ),
    )
    domain.sync(flushGather())
  })

  test('are not told while nothing is translated', () => {
    const machine = vtdMachine()
    const [unit] = machine.driver.units
    unit?.registers.switchOff(1 << 31)
    expect(contextsText(machine.driver.units)).toBe('DMA Remapping is not enabled on dmar0\n')
  })
})

describe('page tables of a function', () => {
  test('each leaf with the entries above it, large pages with fewer', () => {
    const machine = vtdMachine()
    const domain = attached(machine, 2)
    domain.coherency?.enforce()
    domain.map(0x10_0000n, run(0x30_0000), RW)
    domain.map(0x11_0000n, run(0x30_0000), { read: true, write: false })
    domain.map(0x80_0000n, run(0x40_0000, HUGE), RW)
    const [unit] = machine.driver.units
    const text = lines(domainText(unit as NonNullable<typeof unit>, 0x10))
    expect(text[0]).toMatch(/^Device 0000:00:02.0 @0x[0-9a-f]+$/)
    expect(text[1]).toBe(
      'IOVA_PFN         \tPML5E             \tPML4E             \tPDPE              \tPDE               \tPTE',
    )
    expect(text.slice(2, -1).map((line) => line.slice(0, 15))).toEqual([
      '0x0000000000100',
      '0x0000000000110',
      '0x0000000000800',
    ])
    expect(low(text[2]).slice(1)).toEqual(['000', '403', '403', '403', '803'])
    expect(low(text[3]).at(-1)).toBe('801')
    expect(low(text[4]).slice(1)).toEqual(['000', '403', '403', '883'])
  })

  test('nothing for a function that is not translated', () => {
    const machine = vtdMachine()
    machine.add(2)
    const [unit] = machine.driver.units
    expect(domainText(unit as NonNullable<typeof unit>, 0x10)).toBe('')
  })
})

describe('interrupt entries', () => {
  test('the table of a unit that has one, and of none the units that cannot', () => {
    const { driver } = vtdMachine({ units: [{}, { ecap: ECAP & ~8n, scope: [0x10] }] })
    expect(lines(interruptsText(driver.units, driver.interruptTables))).toEqual([
      'Remapped Interrupt supported on IOMMU: dmar0',
      expect.stringMatching(/^ IR table address:[0-9a-f]+000$/),
      ' Entry SrcID   DstID    Vct IRTE_high\t\tIRTE_low',
      '',
      '****',
      '',
      '',
    ])
  })

  test('a kernel that may not remap tells so', () => {
    const { driver } = vtdMachine({ driver: { interruptRemapping: false } })
    expect(interruptsText(driver.units, driver.interruptTables)).toContain('Interrupt Remapping is not enabled')
  })
})
