import { describe, expect, test } from 'vitest'
import {
  Clock,
  Cpus,
  type Host,
  IommuGroups,
  Kernel,
  Memory,
  parseBdf,
  Pci,
  type PciFunction,
  Sysfs,
} from '@ioasis/core'
import { EDU, edu } from '@ioasis/devices'
import { labMachine, LAB_MACHINES } from './lab.ts'
import { lspciText } from './lspci-text.test-kit.ts'
import { nameOfFunction } from './machine-description.ts'
import { amdHost, intelHost, lspciHost, machineHost } from './presets.ts'

const at = (host: Host, name: string): PciFunction => host.get(Pci).at(0, parseBdf(name)?.bdf ?? -1) as PciFunction
const groupsOf = (host: Host) =>
  host.get(IommuGroups).groups.map((g) => ({
    id: g.id,
    type: g.defaultDomainType,
    members: g.members.map((m) => m.name),
    reserved: g.reserved.map(({ first, last, type }) => ({ first, last, type })),
  }))

describe.each(LAB_MACHINES)('lab machine %s', (name) => {
  test('has the recorded functions and groups: numbers, members, types, reserved regions', () => {
    using host = machineHost(name)
    const { description } = labMachine(name)
    expect(
      host
        .get(Pci)
        .functions.map((f) => f.name)
        .toSorted(),
    ).toEqual(description.functions.map(nameOfFunction))
    expect(groupsOf(host)).toEqual(description.groups)
  })
})

test('shows recorded configuration spaces and addresses', () => {
  using host = machineHost('intel-sc')
  const recorded = labMachine('intel-sc').description.functions
  const shown = recorded.map((f) => at(host, nameOfFunction(f)).config)
  expect(shown).toEqual(recorded.map((f) => f.config))
  expect(at(host, '01:00.0').barAddress(0)).toBe(0xfe64_0000)
})

test('has a working edu and the e1000e’s status words', () => {
  using host = machineHost('intel-pt')
  const [cpu] = host.get(Cpus)
  const registers = at(host, '00:01.0').barAddress(0) as number
  expect(cpu.load(registers + EDU.ID, 4)).toBe(0x0100_00edn)
  expect(cpu.load((at(host, '01:00.0').barAddress(0) as number) + 8, 4)).toBe(0x80283n)
})

test('has the recorded memory', () => {
  using host = machineHost('intel')
  expect(host.get(Memory).ram).toEqual([
    { first: 0x1000, last: 0x9_efff },
    { first: 0x10_0000, last: 0x3ffd_7fff },
  ])
})

test('is a no-IOMMU kernel without an IOMMU', () => {
  using host = machineHost('noiommu')
  expect(host.get(Kernel).noiommu).toBe(true)
  expect(groupsOf(host)).toEqual([])
})

test.each([
  ['an Intel host', intelHost],
  ['an AMD host', amdHost],
])('%s blocks DMA of a function whose domain maps nothing', (_name, make) => {
  using host = make({ plugins: [edu({ at: '00:01.0' })] })
  const fn = at(host, '00:01.0')
  fn.writeConfig(4, 2, 6)
  const [cpu] = host.get(Cpus)
  const registers = fn.barAddress(0) as number
  cpu.store(registers + EDU.DMA_SOURCE, 4, BigInt(EDU.BUFFER))
  cpu.store(registers + EDU.DMA_DESTINATION, 4, 0x20_0000n)
  cpu.store(registers + EDU.DMA_COUNT, 4, 8n)
  cpu.store(registers + EDU.DMA_COMMAND, 4, 3n)
  host.get(Clock).advance(100)
  expect((fn.model as { lastStatus?: number }).lastStatus).toBeGreaterThan(0)
})

test('an AMD host shows its unit in sysfs, below its function', () => {
  using host = amdHost()
  const sysfs = host.get(Sysfs)
  expect(sysfs.resolve('/sys/class/iommu/ivhd0')).toBe('/sys/devices/pci0000:00/0000:00:00.2/iommu/ivhd0')
  expect(sysfs.read('/sys/class/iommu/ivhd0/device/class')).toBe('0x080600\n')
})

test('the recorded AMD unit shows what it did', () => {
  using host = machineHost('amd')
  const sysfs = host.get(Sysfs)
  expect(sysfs.read('/sys/class/iommu/ivhd0/amd-iommu/cap')).toBe('1f03000f\n')
  expect(sysfs.read('/sys/class/iommu/ivhd0/amd-iommu/features')).toBe('29d3:0\n')
})

test('an lspci dump becomes a host with the groups its topology gives', () => {
  const recorded = labMachine('intel-sc').description
  const text = lspciText(recorded.functions, { domain: true })
  using host = lspciHost(text)
  expect(groupsOf(host).map((g) => g.members)).toEqual(recorded.groups?.map((g) => g.members))
})
