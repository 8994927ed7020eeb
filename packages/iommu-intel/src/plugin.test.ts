import {
  AuditSource,
  bdf,
  createHost,
  DMA,
  type FunctionModel,
  type Host,
  IommuGroups,
  IommuUnit,
  Memory,
  Pages,
  Pci,
  type PciFunction,
  type Plugin,
  Sysfs,
  Tracer,
} from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { DEFAULT_UNIT, type IntelOptions, intelIommu, intelOptionsOf } from './plugin.ts'
import type { DmarTable } from './spec/dmar-table.ts'

/** An endpoint without capabilities that may master the bus. */
function endpoint(): FunctionModel {
  const config = new Uint8Array(256)
  config.set([0x34, 0x12, 0xe8, 0x11, 0x04, 0, 0, 0, 0, 0, 0xff, 0xff])
  return { name: 'endpoint', config, bars: [] }
}
const functions = (...slots: readonly number[]): Plugin => ({
  name: 'functions',
  contract: 1,
  needs: [Pci],
  setup: (host) => {
    for (const slot of slots) host.get(Pci).place(endpoint(), { bdf: bdf(0, slot, 0) })
  },
})
const intelHost = (options: IntelOptions, ...slots: readonly number[]): Host =>
  createHost({ plugins: [intelIommu(options), functions(...slots)] })
const at = (host: Host, slot: number): PciFunction => host.get(Pci).at(0, bdf(0, slot, 0)) as PciFunction

describe('a host with VT-d', () => {
  test('translates from boot on: a function reaches nothing of what it has not mapped', () => {
    using host = intelHost({}, 2)
    expect(host.get(IommuGroups).of(at(host, 2))?.domain?.type).toBe('paging')
    expect(at(host, 2).dma.read(0x10_0000n, new Uint8Array(4))).toBe(6)
  })
  test('passes functions through with iommu=pt', () => {
    using host = intelHost({ identityDefault: true }, 2)
    expect(at(host, 2).dma.read(0x10_0000n, new Uint8Array(4))).toBe(DMA.OK)
  })
  test('tells faults to the trace', () => {
    using host = intelHost({}, 2)
    const seen: string[] = []
    host.get(Tracer).on('fault', ({ text }) => seen.push(text))
    at(host, 2).dma.write(0x10_0000n, Uint8Array.of(1))
    expect(seen).toEqual([
      'DMAR: [DMA Write NO_PASID] Request device [0000:00:02.0] fault addr 0x100000 [fault reason 0x05] PTE Write access is not set',
    ])
  })
  test('has its registers in physical memory', () => {
    using host = intelHost({}, 2)
    const bytes = new Uint8Array(8)
    host.get(Memory).read(0xfed9_0008, bytes)
    expect(new DataView(bytes.buffer).getBigUint64(0, true)).toBe(DEFAULT_UNIT.cap)
  })
  test('shows its unit in sysfs as a recorded machine does', () => {
    using host = intelHost({}, 2, 3)
    const sysfs = host.get(Sysfs)
    const directory = '/sys/class/iommu/dmar0/intel-iommu'
    expect(sysfs.list(directory).map((name) => `${name} ${sysfs.read(`${directory}/${name}`)}`)).toEqual([
      'address fed90000\n',
      'cap 80d2008c222f0606\n',
      'domains_supported 65536\n',
      'domains_used 2\n',
      'ecap f00fca\n',
      'version 1:0\n',
    ])
  })
  test('asks each function of its own unit', () => {
    using host = intelHost(
      {
        units: [
          { ...DEFAULT_UNIT, registers: 0xfed9_0000, scope: [bdf(0, 2, 0)] },
          { ...DEFAULT_UNIT, registers: 0xfed9_1000 },
        ],
      },
      2,
      3,
    )
    const [first, rest] = host.all(IommuUnit)
    expect([first?.covers(0, bdf(0, 2, 0)), first?.covers(0, bdf(0, 3, 0))]).toEqual([true, false])
    expect([rest?.covers(0, bdf(0, 2, 0)), rest?.covers(0, bdf(0, 3, 0))]).toEqual([false, true])
    expect(at(host, 3).dma.read(0x10_0000n, new Uint8Array(4))).toBe(6)
  })
  test('leaves functions that no unit names alone', () => {
    using host = intelHost({ units: [{ ...DEFAULT_UNIT, scope: [bdf(0, 2, 0)] }] }, 2, 3)
    expect(host.get(IommuGroups).of(at(host, 3))).toBeUndefined()
    expect(at(host, 3).dma.read(0x10_0000n, new Uint8Array(4))).toBe(DMA.OK)
  })
  test('serves a function that comes later', () => {
    using host = intelHost({}, 2)
    const late = host.get(Pci).place(endpoint(), { bdf: bdf(0, 9, 0) })
    expect(late.dma.read(0x10_0000n, new Uint8Array(4))).toBe(6)
  })
  test('keeps reserved memory out of the allocator', () => {
    using host = intelHost({ reserved: [{ first: 0x10_0000, last: 0x1f_ffff, scope: [bdf(0, 2, 0)] }] }, 2)
    expect(host.get(Pages).isAllocated(0x10_0000, 4096)).toBe(false)
    expect(host.get(IommuGroups).of(at(host, 2))?.reserved[0]).toMatchObject({ first: 0x10_0000n, type: 'direct' })
  })
  test('gives all memory back when it closes', () => {
    const host = intelHost({}, 2, 3)
    const pages = host.get(Pages)
    expect(pages.allocated).toBeGreaterThan(0)
    host.close()
    expect(pages.allocated).toBe(0)
  })
  test('claims what it holds', () => {
    using host = intelHost({}, 2)
    const claims = host.all(AuditSource).flatMap((source) => source.claims())
    expect(claims).toContainEqual(expect.objectContaining({ kind: 'attached', unit: 'dmar0', requester: bdf(0, 2, 0) }))
  })
})

test('a recorded machine gives the options', () => {
  const table: DmarTable = {
    hostAddressWidth: 39,
    interruptRemapping: false,
    x2apicOptOut: false,
    units: [
      { registers: 0xfed9_0000, bytes: 4096, segment: 0, includeAll: false, scope: [], interruptSources: [] },
      { registers: 0xfed9_1000, bytes: 4096, segment: 0, includeAll: true, scope: [], interruptSources: [] },
    ],
    reserved: [{ segment: 0, first: 0x1000, last: 0x1fff, scope: [] }],
    rootAts: [],
  }
  const options = intelOptionsOf(table, (registers) => ({ cap: BigInt(registers), ecap: 1n }))
  expect(options.units).toEqual([
    { registers: 0xfed9_0000, segment: 0, scope: [], haw: 39, cap: 0xfed9_0000n, ecap: 1n },
    { registers: 0xfed9_1000, segment: 0, scope: 'all', haw: 39, cap: 0xfed9_1000n, ecap: 1n },
  ])
  expect(options).toMatchObject({ interruptRemapping: false, reserved: table.reserved })
})
