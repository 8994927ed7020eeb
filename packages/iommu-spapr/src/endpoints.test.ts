/** How functions are sorted into endpoints: arch/powerpc/platforms/powernv/pci-ioda.c pnv_ioda_setup_bus_PE. */
import {
  bdf,
  createHost,
  type FunctionModel,
  type Host,
  IommuDriver,
  IommuGroups,
  Pages,
  Pci,
  type PciFunction,
} from '@ioasis/core'
import { expect, test } from 'vitest'
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

test('a virtual function has an endpoint of its own', () => {
  using host = machine()
  const physfn = host.get(Pci).get('01:00.0')
  const virtual = {
    segment: 0,
    bdf: bdf(1, 2, 0),
    requester: bdf(1, 2, 0),
    name: '0000:01:02.0',
    parent: physfn.parent,
    virtfn: { physfn, index: 0 },
    bars: [],
    readConfig: () => 0,
  } as unknown as PciFunction
  const [driver] = host.all(IommuDriver)
  const device = driver?.probe(virtual)
  expect(device?.endpoint?.name).toBe('domain0-pefb')
  device?.release()
})
