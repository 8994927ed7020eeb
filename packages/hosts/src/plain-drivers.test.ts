import { createHost, Drivers, IommuGroups, Pci, type PciFunction } from '@ioasis/core'
import { edu, pcieToPciBridge, rootPort } from '@ioasis/devices'
import { intelIommu } from '@ioasis/iommu-intel'
import { expect, test } from 'vitest'
import { plainDrivers } from './plain-drivers.ts'

const plugins = [
  intelIommu(),
  plainDrivers(),
  rootPort({ at: '00:03.0', secondary: 1 }),
  pcieToPciBridge({ at: '01:00.0', secondary: 2 }),
  edu({ at: '00:01.0' }),
]

test('pcieport takes PCI Express ports, and leaves bridges to conventional PCI alone', () => {
  using host = createHost({ plugins })
  const bound = host.get(Drivers).boundTo('pcieport')
  expect(bound.map((fn) => fn.name)).toEqual(['0000:00:03.0'])
})

test('pci-stub holds what it is told to and uses no DMA; an ordinary driver does', () => {
  using host = createHost({ plugins })
  const drivers = host.get(Drivers)
  const fn = host.get(Pci).functions.find(({ name }) => name === '0000:00:01.0') as PciFunction
  const group = host.get(IommuGroups).of(fn)
  for (const [driver, claims] of [
    ['pci-stub', false],
    ['pvpanic-pci', true],
  ] as const) {
    drivers.setOverride(fn, driver)
    drivers.bind(driver, fn)
    expect([driver, group?.claimed]).toEqual([driver, claims])
    drivers.unbind(driver, fn)
  }
})
