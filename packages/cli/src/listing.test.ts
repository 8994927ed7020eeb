import { createHost, type Host, IommuGroups, Pci, type Plugin } from '@ioasis/core'
import { edu, noSnoopEngine, rootPort } from '@ioasis/devices'
import { powerHost } from '@ioasis/hosts'
import { intelIommu } from '@ioasis/iommu-intel'
import { expect, test } from 'vitest'
import { explainedGroups, functionText, treeLines } from './listing.ts'

const compose = (...plugins: Plugin[]): Host => createHost({ plugins: [intelIommu(), ...plugins] })
const tree = (host: Host): string[] => treeLines(host.get(Pci), host.get(IommuGroups))

test('a function is told by ids and class', () => {
  using host = compose(edu({ at: '00:01.0' }), rootPort({ at: '00:03.0', secondary: 1 }))
  expect(host.get(Pci).functions.map(functionText)).toEqual(['1234:11e8 device', '1b36:000c root port'])
})

test('a tree shows what stands behind bridges, and the group of each function', () => {
  using host = compose(
    edu({ at: '00:01.0' }),
    rootPort({ at: '00:03.0', secondary: 1 }),
    noSnoopEngine({ at: '01:00.0' }),
    edu({ at: '00:04.0' }),
  )
  expect(tree(host).map((line) => line.replaceAll(/ {2,}/g, '  '))).toEqual([
    'domain 0000',
    '├─ 00:01.0  1234:11e8 device  group 0',
    '├─ 00:03.0  1b36:000c root port  group 1',
    expect.stringMatching(/^│ {2}└─ 01:00\.0 {2}.* {2}group 3$/),
    '└─ 00:04.0  1234:11e8 device  group 2',
  ])
})

test('segments are kept apart, and a function without a group says so', () => {
  using host = createHost({ plugins: [edu({ at: '0001:00:01.0' }), edu({ at: '00:01.0' })] })
  expect(tree(host).map((line) => line.replaceAll(/ {2,}/g, '  '))).toEqual([
    'domain 0000',
    '└─ 00:01.0  1234:11e8 device  no group',
    'domain 0001',
    '└─ 00:01.0  1234:11e8 device  no group',
  ])
})

test('a group is explained: members, each with its reasons, what is reserved, and why it is as large as it is', () => {
  using host = compose(edu({ at: '00:01.0' }), edu({ at: '00:02.0' }), edu({ at: '00:02.1' }))
  const [alone, pair] = explainedGroups(host.get(IommuGroups))
  expect(alone).toMatchObject({ id: 0, type: 'DMA-FQ', summary: 'alone: nothing else can reach it past the IOMMU' })
  expect(alone?.reserved).toEqual([{ first: '0xfee00000', last: '0xfeefffff', type: 'msi' }])
  expect(pair?.members.map((m) => m.name)).toEqual(['0000:00:02.0', '0000:00:02.1'])
  expect(pair?.members[1]?.because.at(-1)).toBe(
    '0000:00:02.1 shares a slot with 0000:00:02.0, and they are not kept apart: 0000:00:02.1 is conventional PCI; it joins the group of 0000:00:02.0',
  )
  expect(pair?.summary).toContain('functions of one slot without ACS reach each other')
})

test('a group on POWER is a partitionable endpoint with its windows', () => {
  using host = powerHost('powernv10')
  const told = explainedGroups(host.get(IommuGroups)).map(({ endpoint, windows, summary }) => [
    endpoint,
    windows,
    summary,
  ])
  expect(told[1]).toEqual([
    'domain1-pefd',
    ['window 0: 0x0-0x7fffffff, pages of 4096 bytes, 2 levels'],
    expect.stringContaining('a partitionable endpoint of one function'),
  ])
})
