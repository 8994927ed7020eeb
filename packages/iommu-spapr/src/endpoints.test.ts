/** How functions are sorted into endpoints: arch/powerpc/platforms/powernv/pci-ioda.c pnv_ioda_setup_bus_PE. */
import {
  bdf,
  createHost,
  type ErrorRecovery,
  type FunctionModel,
  type Host,
  IommuGroups,
  Pages,
  Pci,
  type PciFunction,
  type Plugin,
  type Removal,
  REMOVED,
  type SriovSwitch,
} from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { FirmwareCalls, powernvIommu } from './plugin.ts'

function model(change: (view: DataView, config: Uint8Array) => void = () => undefined): FunctionModel {
  const config = new Uint8Array(256)
  const view = new DataView(config.buffer)
  view.setUint32(0, 0x0001_1af4, true)
  view.setUint32(8, 0xff00_0000, true)
  change(view, config)
  return { name: 'function', config, bars: [] }
}
/** A PCIe bridge of some port type. */
const bridge = (type: number, secondary: number, subordinate = secondary): FunctionModel =>
  model((view, config) => {
    config[0x0e] = 1
    config[0x19] = secondary
    config[0x1a] = subordinate
    view.setUint16(6, 0x10, true)
    config[0x34] = 0x40
    config.set([0x10, 0, (type << 4) | 2], 0x40)
  })
const [ROOT_PORT, PCIE_TO_PCI] = [4, 7]
const wide = (): FunctionModel => ({
  ...model(),
  bars: [{ index: 0, size: 4096, space: 'memory', wide: true, prefetchable: true }],
})

function machine(): Host {
  return createHost({
    plugins: [
      powernvIommu(),
      {
        name: 'functions',
        contract: 1,
        needs: [Pci],
        setup: (host) => {
          const pci = host.get(Pci)
          pci.place(bridge(ROOT_PORT, 1), { bdf: bdf(0, 0, 0) })
          pci.place(model(), { bdf: bdf(1, 0, 0) })
          pci.place(model(), { bdf: bdf(1, 0, 1) })
          pci.place(bridge(ROOT_PORT, 2, 4), { bdf: bdf(0, 1, 0) })
          pci.place(bridge(PCIE_TO_PCI, 3, 4), { bdf: bdf(2, 0, 0) })
          pci.place(wide(), { bdf: bdf(3, 1, 0) })
        },
      },
    ],
    kernel: { iommufd: false, cdev: false, container: 'spapr' },
  })
}
const names = (host: Host): unknown =>
  host.get(IommuGroups).groups.map((g) => [g.name, g.members.map((m) => m.name.slice(5)).join(' ')])

test('one endpoint for each bus, from the highest number down; 64-bit memory counts from the lowest up', () => {
  expect(names(machine())).toEqual([
    ['domain0-pefd', '01:00.0 01:00.1'],
    ['domain0-pe0', '03:01.0'],
  ])
})
test('bridges alone are in no group', () => {
  const host = machine()
  const [port] = host.get(Pci).functions
  expect(port && host.get(IommuGroups).of(port)).toBeUndefined()
})
test('the buses behind a bridge to conventional PCI are one endpoint', () => {
  using host = machine()
  const log = host.get(FirmwareCalls)
  log.wanted = true
  host.get(Pci).place(model(), { bdf: bdf(3, 2, 0) })
  expect(names(host)).toContainEqual(['domain0-pe0', '03:01.0 03:02.0'])
  expect(log.calls).toEqual([])
})
test('an endpoint ends with its last function, and its tables and number are free again', () => {
  using host = machine()
  const pci = host.get(Pci)
  const before = host.get(Pages).allocated
  pci.remove(pci.get('01:00.0'))
  expect(host.get(Pages).allocated).toBe(before)
  pci.remove(pci.get('01:00.1'))
  expect(host.get(Pages).allocated).toBeLessThan(before)
  pci.place(model(), { bdf: bdf(1, 0, 0) })
  expect([names(host), host.get(Pages).allocated]).toEqual([
    [
      ['domain0-pefd', '01:00.0'],
      ['domain0-pe0', '03:01.0'],
    ],
    before,
  ])
})

/** An endpoint that can be reset alone. */
function expressEndpoint(id: number): Uint8Array {
  const config = new Uint8Array(4096)
  const view = new DataView(config.buffer)
  view.setUint32(0, id, true)
  view.setUint32(8, 0xff00_0000, true)
  view.setUint16(6, 0x10, true)
  config[0x34] = 0x40
  config.set([0x10, 0, 0x02], 0x40)
  view.setUint32(0x44, 0x1000_0000, true)
  return config
}
/** A physical function with up to four virtual ones, two device numbers apart, from 01:10.0 on. */
function physical(): FunctionModel {
  const config = expressEndpoint(0x0001_1af4)
  const view = new DataView(config.buffer)
  view.setUint32(0x100, 0x0001_0010, true)
  view.setUint32(0x10c, 0x0004_0004, true)
  view.setUint32(0x114, 0x0002_0080, true)
  view.setUint32(0x11c, 1, true)
  view.setUint32(0x124, 0xfe00_0000, true)
  const bars = [{ index: 0, size: 4096, space: 'memory', wide: false, prefetchable: false }] as const
  const make = (): FunctionModel => ({ name: 'virtual', config: expressEndpoint(0xffff_ffff), bars })
  return { name: 'physical', config, bars: [], virtualFunctions: { bars, make } }
}
/** With `count` virtual functions on. */
function virtualized(count: number): { readonly host: Host; readonly fn: (name: string) => PciFunction } {
  const functions: Plugin = {
    name: 'functions',
    contract: 1,
    needs: [Pci],
    setup: (host) => {
      host.get(Pci).place(bridge(ROOT_PORT, 1), { bdf: bdf(0, 0, 0) })
      host.get(Pci).place(physical(), { bdf: bdf(1, 0, 0) })
    },
  }
  const kernel = { iommufd: false, cdev: false, container: 'spapr' } as const
  const host = createHost({ plugins: [powernvIommu(), functions], kernel })
  const fn = (name: string): PciFunction => host.get(Pci).get(name)
  fn('01:00.0').sriov?.enable(count)
  return { host, fn }
}
const writeTo = (fn: PciFunction, iova: bigint): number => {
  fn.writeConfig(4, 2, 0x0004)
  return fn.dma.write(iova, new Uint8Array(4))
}
/** Where memory goes through untranslated while the kernel has an endpoint. */
const BYPASS = 1n << 59n

describe('virtual functions', () => {
  test('have an endpoint each, numbered side by side below that of their bus', () => {
    using host = virtualized(3).host
    expect(names(host)).toEqual([
      ['domain0-pefd', '01:00.0'],
      ['domain0-pefa', '01:10.0'],
      ['domain0-pefb', '01:10.2'],
      ['domain0-pefc', '01:10.4'],
    ])
  })
  test('are claimed and frozen one by one', () => {
    const { host, fn } = virtualized(2)
    const owner = {}
    host.get(IommuGroups).containing('01:10.2').claim(owner, false)
    expect(writeTo(fn('01:10.2'), BYPASS)).toBeGreaterThan(0)
    const states = ['01:00.0', '01:10.0', '01:10.2'].map((name) =>
      host.get(IommuGroups).deviceOf(fn(name))?.recovery?.state(),
    )
    expect([states, writeTo(fn('01:10.0'), BYPASS), writeTo(fn('01:00.0'), BYPASS)]).toEqual([[0, 0, 2], 0, 0])
    host.close()
  })
  test('are reset alone', () => {
    const { host, fn } = virtualized(2)
    const [pf, vf] = [fn('01:00.0'), fn('01:10.0')]
    for (const one of [pf, vf]) one.writeConfig(4, 2, 0x0004)
    const recovery = host.get(IommuGroups).deviceOf(vf)?.recovery as ErrorRecovery
    expect([recovery.reset(1), recovery.state(), recovery.reset(0), recovery.state()]).toEqual([0, 2, 0, 0])
    expect([pf.readConfig(4, 2), vf.readConfig(4, 2)]).toEqual([0x0004, 0])
    host.close()
  })
  test('give numbers and tables back when they are switched off', () => {
    const { host, fn } = virtualized(1)
    const before = host.get(Pages).allocated
    const sriov = fn('01:00.0').sriov as SriovSwitch
    const unplug = (virtfn: PciFunction): Removal => {
      host.get(Pci).remove(virtfn)
      return REMOVED
    }
    sriov.disable(unplug)
    expect(host.get(Pages).allocated).toBeLessThan(before)
    sriov.enable(1)
    expect([names(host), host.get(Pages).allocated]).toEqual([
      [
        ['domain0-pefd', '01:00.0'],
        ['domain0-pefc', '01:10.0'],
      ],
      before,
    ])
    host.close()
  })
})
