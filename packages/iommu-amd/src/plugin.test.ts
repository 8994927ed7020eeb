import { AuditSource, bdf, createHost, IommuDriver, IommuUnit, Pages, Pci, Sysfs } from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { amdIommu, amdOptionsOf, DEFAULT_UNIT, ivrsTable, parseIvrs } from './index.ts'
import { amdMachine } from './machine.test-kit.ts'

const KEPT = {
  scope: 'all',
  segment: 0,
  first: 0x300_0000,
  size: 0x1_0000,
  unity: true,
  read: true,
  write: true,
  exclusion: false,
} as const

function features(plugin: ReturnType<typeof amdIommu>): string {
  using host = createHost({ plugins: [plugin] })
  return host.get(Sysfs).read('/sys/class/iommu/ivhd0/amd-iommu/features')
}

test('importing and making the plug-in do nothing; a host has unit, driver and claims', () => {
  using host = createHost({ plugins: [amdIommu()] })
  expect(host.all(IommuUnit).map((unit) => unit.name)).toEqual(['ivhd0'])
  expect(host.all(IommuDriver).map((driver) => driver.name)).toEqual(['amd-iommu'])
  expect(host.all(AuditSource).map((source) => source.name)).toContain('ivhd0')
})
test('two hosts share nothing', () => {
  using one = createHost({ plugins: [amdIommu()] })
  using other = createHost({ plugins: [amdIommu()] })
  expect(one.all(IommuUnit)[0]).not.toBe(other.all(IommuUnit)[0])
})
test('a unit is a PCI function that tells where its registers are', () => {
  using host = createHost({ plugins: [amdIommu()] })
  const fn = host.get(Pci).at(0, bdf(0, 0, 2))
  expect(fn?.readConfig(0x0a, 2)).toBe(0x0806)
  const at = fn?.capability(0x0f) ?? 0
  expect([at, fn?.readConfig(at, 4), fn?.readConfig(at + 4, 4)]).toEqual([0x40, 0x090b_640f, 0xfed8_0001])
})
test('memory that firmware keeps is handed to nobody', () => {
  using host = createHost({ plugins: [amdIommu({ memory: [KEPT] })] })
  const pages = host.get(Pages)
  const taken = Array.from({ length: 56 }, () => pages.alloc(1 << 20))
  expect(taken.filter((hpa) => hpa < 0x301_0000 && hpa + (1 << 20) > 0x300_0000)).toEqual([])
})

describe('the ACPI table of a composed host', () => {
  const options = {
    units: [
      DEFAULT_UNIT,
      {
        ...DEFAULT_UNIT,
        registers: 0xfed9_0000,
        old: true,
        devices: [{ kind: 'select', bdf: 0x18, settings: 0 } as const],
      },
    ],
    memory: [KEPT],
  }
  test('reads as it was composed', () => {
    const table = parseIvrs(ivrsTable(options))
    expect(table.memory).toEqual([KEPT])
    expect(table.units).toMatchObject([
      { type: 0x11, bdf: 2, registers: 0xfed8_0000, efr: DEFAULT_UNIT.efr, efr2: 8n, devices: [{ kind: 'all' }] },
      { type: 0x10, bdf: 3, registers: 0xfed9_0000, devices: [{ kind: 'select', bdf: 0x18 }] },
    ])
  })
  test('makes the same host again', () => {
    const one = { ...options, units: [DEFAULT_UNIT] }
    const again = amdOptionsOf(parseIvrs(ivrsTable(one)), () => DEFAULT_UNIT.header ?? 0)
    expect(features(amdIommu(again))).toBe(features(amdIommu(one)))
    expect(again.memory).toEqual([KEPT])
  })
})

test('a block of type 10h does not tell features: they are read from the unit', () => {
  expect(features(amdIommu({ units: [{ ...DEFAULT_UNIT, old: true }] }))).toBe('17002f000048da:8\n')
})
test('firmware that forbids host tables: domains have the guest’s, and dirty pages cannot be told', () => {
  using m = amdMachine({ units: [{ ...DEFAULT_UNIT, attributes: 1 }] })
  const { caps, paging } = m.plain.device
  expect(paging.alloc({})).toMatchObject({ mode: 'v2' })
  expect(caps.dirtyTracking).toBe(false)
  expect(() => paging.alloc({ dirtyTracking: true })).toThrow('EOPNOTSUPP')
})
test('a block of type 10h: host tables of 48 bits, and no dirty pages', () => {
  using m = amdMachine({ units: [{ ...DEFAULT_UNIT, old: true }] })
  const { caps, paging } = m.plain.device
  expect(paging.alloc({}).aperture.last).toBe(2n ** 48n - 1n)
  expect(caps.dirtyTracking).toBe(false)
})
