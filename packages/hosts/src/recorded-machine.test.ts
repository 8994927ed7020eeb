import { expect, test } from 'vitest'
import { Cpus, createHost, idsOf, IommuGroups, IommuUnit, parseBdf, Pci } from '@ioasis/core'
import { DmaEngine, Edu, PciTestdev } from '@ioasis/devices'
import { labMachine, recordedMachine } from './lab.ts'
import { recordedMemory, recordedPlugins } from './recorded-machine.ts'

const compose = (description = recordedMachine('q35-intel-sc'), options = {}) =>
  createHost({ machine: recordedMemory(description), plugins: recordedPlugins(description, options) })
const modelAt = (host: ReturnType<typeof compose>, at: string) => host.get(Pci).at(0, parseBdf(at)?.bdf ?? -1)?.model

test('uses real models where there are some', () => {
  using host = compose()
  expect(modelAt(host, '00:01.0')).toBeInstanceOf(Edu)
  expect(modelAt(host, '00:02.0')).toBeInstanceOf(PciTestdev)
  expect(modelAt(host, '00:03.0')?.name).toBe('bridge 1b36:000c')
})

test('puts a given model in place of a recorded one', () => {
  const clock = { now: () => 0, at: () => () => undefined, advance: () => undefined }
  const model = (name: string) => (name === '0000:06:00.0' ? new DmaEngine(clock) : undefined)
  using host = compose(undefined, { model })
  expect(modelAt(host, '06:00.0')?.name).toBe('dma-engine')
})

test('functions of QEMU have its writable bits and a valid image in each ROM', () => {
  using usual = compose()
  using qemu = compose(undefined, { personality: 'qemu' })
  const written = [usual, qemu].map((host) => {
    const fn = host.get(Pci).at(0, parseBdf('01:00.0')?.bdf ?? -1)
    fn?.writeConfig(0x04, 2, 0x40)
    fn?.writeConfig(0x40, 4, 0xffff_ffff)
    return [fn?.readConfig(0x04, 2), fn?.readConfig(0x40, 4)]
  })
  expect(written).toEqual([
    [0x40, 0],
    [0, 0xffff_ffff],
  ])
  const roms = qemu
    .get(Pci)
    .functions.flatMap(({ name, bars }) =>
      bars.filter((bar) => bar.space === 'rom').map(({ window }) => ({ name, window })),
    )
  expect(roms.map(({ name, window }) => [name, window?.load(0, 4), window?.load(0x1c, 4)])).toEqual([
    ['0000:00:08.0', 0x1aa55n, 0x52494350n],
    ['0000:01:00.0', 0xe9d5aa55n, 0x52494350n],
    ['0000:02:00.1', 0xe9d5aa55n, 0x52494350n],
    ['0000:04:03.0', 0x1aa55n, 0x52494350n],
  ])
})

test('has one unit of the kind the machine has, none where the silicon is not modelled', () => {
  using intel = compose()
  expect(intel.all(IommuUnit).map((u) => u.name)).toEqual(['dmar0'])
  using amd = compose(recordedMachine('q35-amd'))
  expect(amd.all(IommuUnit).map((u) => u.name)).toEqual(['ivhd0'])
  using scalable = compose(recordedMachine('q35-intel-sm'))
  expect(scalable.all(IommuUnit).length).toBe(0)
})

test('works without a DMAR table: one unit covers everything', () => {
  using host = compose({ ...recordedMachine('q35-intel'), acpi: {} })
  expect(host.all(IommuUnit).length).toBe(1)
})

test('refuses a table that does not parse', () => {
  const description = { ...labMachine('intel').description, acpi: { DMAR: new Uint8Array(60) } }
  expect(() => recordedPlugins(description)).toThrow('q35-intel: ACPI table of 0x3c bytes: DMAR: not a DMAR table')
})

test('names the source when a function cannot stand', () => {
  const description = recordedMachine('q35-intel-sc')
  const [first] = description.functions
  const broken = { ...description, functions: [{ ...first, config: new Uint8Array(64) }] } as typeof description
  expect(() => compose(broken)).toThrow(/^q35-intel-sc: 0000:00:00\.0|configuration space of 64 bytes/)
})

test('a recorded physical function makes virtual ones, each in a group of its own', () => {
  using host = compose(undefined, { personality: 'qemu' })
  const pf = host.get(Pci).get('05:00.0')
  const groups = host.get(IommuGroups)
  pf.sriov?.enable(2)
  const [first, second] = [host.get(Pci).get('05:10.0'), host.get(Pci).get('05:10.2')]
  expect([groups.of(first)?.id, groups.of(second)?.id, groups.of(first)?.devices.length]).toEqual([16, 17, 1])
  expect([idsOf(first).vendor, idsOf(first).device, idsOf(first).class]).toEqual([0x8086, 0x10ca, 0x020000])
  expect([first.barAddress(0), second.barAddress(3)]).toEqual([0xfd20_0000, 0xfd22_4000])
  first.writeConfig(0x04, 2, 0xffff)
  expect(first.readConfig(0x04, 2)).toBe(0x0507)
  expect(first.capability(0x11)).toBe(0x70)
})

test('the boot display has its ROM in memory', () => {
  using host = compose(undefined, { personality: 'qemu' })
  expect(host.get(Pci).get('00:08.0').romShadow).toEqual({ first: 0xc_0000, bytes: 0x2_0000 })
  expect(host.get(Cpus)[0].load(0xc_0000, 2)).toBe(0xaa55n)
})
