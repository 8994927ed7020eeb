import { describePageTableFormat } from '@ioasis/testkit/kits'
import { pageRuns } from '@ioasis/core'
import { expect, test } from 'vitest'
import { mockWorld } from '../mock-world.test-kit.ts'
import { DEFAULT_GEOMETRY, hugeGeometry, type MockGeometry } from './format.ts'

const world = (geometry: MockGeometry) => {
  const made = mockWorld()
  return { ...made, table: made.table(geometry), make: () => made.table(geometry) }
}
describePageTableFormat({
  name: 'mock',
  geometries: {
    'pages of every size': () => world(DEFAULT_GEOMETRY),
    'CPU pages and 1 MiB': () => world(hugeGeometry(4096)),
  },
})

/** drivers/iommu/iommufd/iommufd_test.h; the sizes as IOMMU_IOAS_IOVA_RANGES and a map of each tell them. */
test('sizes and apertures are the kernel’s', () => {
  expect(DEFAULT_GEOMETRY.aperture).toEqual({ first: 0x100_0000n, last: 0x7fff_ffffn })
  expect(DEFAULT_GEOMETRY.pageSizes).toBe(0x1f_ffff_f800n)
  expect(hugeGeometry(4096)).toMatchObject({ pageSizes: 0x10_1000n, aperture: { first: 0n, last: 0x3f_ffff_ffffn } })
  expect(hugeGeometry(65536).pageSizes).toBe(0x11_0000n)
})

const below = (value: bigint): number => Number(value & 0x7_ffff_ffff_f000n)

/** By hand: present, writable and readable; the size in the address, as AMD's "Table 14" has it. */
test('entries: a page of its level, a larger page in all that it covers, a pointer', () => {
  const { table, memory } = world(DEFAULT_GEOMETRY)
  const entry = (at: number, index: number): bigint => {
    const bytes = new Uint8Array(8)
    memory.read(at + index * 8, bytes)
    return new DataView(bytes.buffer).getBigUint64(0, true)
  }
  table.map(0x100_0800n, pageRuns([0x20_0800, 0x800], [0x30_1000, 0x1000], [0x40_2000, 0x2000]), {
    read: true,
    write: true,
  })
  const [top, middle] = [entry(table.root, 0), entry(below(entry(table.root, 0)), 16)]
  expect([top & ~0x7_ffff_ffff_f000n, middle & ~0x7_ffff_ffff_f000n]).toEqual([
    0x6000_0000_0000_0101n,
    0x6000_0000_0000_0081n,
  ])
  const leaves = below(middle)
  expect([1, 2, 3, 4, 7, 8].map((index) => entry(leaves, index))).toEqual([
    0x6000_0000_0020_0801n,
    0x6000_0000_0030_1381n,
    0x6000_0000_0030_1381n,
    // 8 KiB: one bit of ones, the zero above it.
    0x6000_0000_0040_2b81n,
    0x6000_0000_0040_2b81n,
    0n,
  ])
})
