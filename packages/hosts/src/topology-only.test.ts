import { expect, test } from 'vitest'
import { createHost, IommuGroups } from '@ioasis/core'
import { edu } from '@ioasis/devices'
import { topologyOnlyIommu } from './topology-only.ts'

const plugins = [edu({ at: '00:01.0' }), edu({ at: '00:02.0' })]

test('puts covered functions into groups, with the type and regions it is told', () => {
  const region = { first: 0xfee0_0000n, last: 0xfeef_ffffn, type: 'msi', read: false, write: false } as const
  const iommu = topologyOnlyIommu({
    name: 'some',
    covers: (fn) => fn.bdf === 8,
    defaultType: 'DMA',
    reserved: [region],
  })
  using host = createHost({ plugins: [...plugins, iommu] })
  const { groups } = host.get(IommuGroups)
  expect(groups.map((g) => [g.id, g.members.map((m) => m.name), g.defaultDomainType])).toEqual([
    [0, ['0000:00:01.0'], 'DMA'],
  ])
  expect(groups[0]?.reserved).toEqual([region])
})

test('lets a group be owned, which blocks it, and given back', () => {
  using host = createHost({ plugins: [...plugins, topologyOnlyIommu({ name: 'some', defaultType: 'identity' })] })
  const [group] = host.get(IommuGroups).groups
  const owner = {}
  group?.claim(owner, false)
  expect(group?.domain?.type).toBe('blocked')
  expect(group?.attach({ type: 'paging' })).toBe('incompatible')
  group?.release(owner)
  expect(group?.domain?.type).toBe('identity')
})
