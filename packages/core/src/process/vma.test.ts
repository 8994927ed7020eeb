import { expect, test } from 'vitest'
import { RegionPages } from './page-object.ts'
import { type Vma, VmaList } from './vma.ts'

const object = new RegionPages({ name: 'x', first: 0, bytes: 1 << 20, pageBytes: 4096, pinnable: true })
const vma = (first: number, end: number): Vma => ({
  first,
  end,
  read: true,
  write: true,
  shared: true,
  dontFork: false,
  target: { kind: 'pages', object, firstPage: 0 },
})
const list = (...ranges: readonly (readonly [number, number])[]): VmaList => {
  const vmas = new VmaList(4096)
  for (const [first, end] of ranges) vmas.add(vma(first, end))
  return vmas
}
const ranges = (vmas: readonly Vma[]): number[][] => vmas.map((v) => [v.first, v.end])

test('finds the mapping of an address, its ends exact', () => {
  const vmas = list([0x3000, 0x5000], [0x1000, 0x2000])
  expect([0xfff, 0x1000, 0x1fff, 0x2000, 0x4fff, 0x5000].map((at) => vmas.at(at)?.first)).toEqual([
    undefined,
    0x1000,
    0x1000,
    undefined,
    0x3000,
    undefined,
  ])
})
test('cuts mappings at the ends of a range and moves their first page', () => {
  const vmas = list([0x1000, 0x5000], [0x6000, 0x8000])
  const parts = vmas.cut(0x2000, 0x7000)
  expect([ranges(parts), ranges(vmas.all)]).toEqual([
    [
      [0x2000, 0x5000],
      [0x6000, 0x7000],
    ],
    [
      [0x1000, 0x2000],
      [0x7000, 0x8000],
    ],
  ])
  expect([parts[0]?.target, vmas.at(0x7000)?.target]).toMatchObject([{ firstPage: 1 }, { firstPage: 1 }])
})
test('knows whether a range is mapped without a hole', () => {
  const vmas = list([0x1000, 0x2000], [0x2000, 0x3000], [0x4000, 0x5000])
  expect([vmas.covers(0x1000, 0x3000), vmas.covers(0x1000, 0x5000), vmas.covers(0, 0x2000)]).toEqual([
    true,
    false,
    false,
  ])
})
test('finds the highest free place, aligned, below a limit', () => {
  const vmas = list([0x1_0000, 0x2_0000], [0x3_0000, 0x4_0000])
  expect([
    vmas.freeBelow(0x5_0000, 0x1000, 0x1000),
    vmas.freeBelow(0x4_0000, 0x1000, 0x1000),
    vmas.freeBelow(0x3_8000, 0x8000, 0x1_0000),
    vmas.freeBelow(0x3_8000, 0xf000, 0x1000),
    vmas.freeBelow(0x3_8000, 0x2_0000, 0x1000),
  ]).toEqual([0x4_f000, 0x2_f000, 0x2_0000, 0x2_1000, undefined])
})
