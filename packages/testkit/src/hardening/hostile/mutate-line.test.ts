import { expect, test } from 'vitest'
import { RandomSource } from '../../random-source.ts'
import { mutateLine, scriptValues } from './mutate-line.ts'

const LINE = 'IOMMU_IOAS_MAP @iommu ioas_id=$a flags=RW length=4k data=zero:8 -> x=iova'

test('one value changes, or is left out, or the struct lies elsewhere; what the test itself needs stays', () => {
  const random = new RandomSource(1)
  const values = scriptValues([LINE, 'IOMMU_DESTROY @iommu length=9'])
  const seen = Array.from({ length: 200 }, () => mutateLine(LINE, values, random))
  expect(seen.filter((line) => !line.endsWith(' -> x=iova') || !line.includes('data=zero:8'))).toEqual([])
  expect([/length=9/, /_arg=null/, /flags=0x/].map((what) => seen.some((line) => what.test(line)))).toEqual([
    true,
    true,
    true,
  ])
  expect(seen.some((line) => !line.includes('ioas_id='))).toBe(true)
})
test('values are collected by key', () => {
  expect(scriptValues([LINE, 'X flags=1', 'X flags=1']).get('flags')).toEqual(['RW', '1'])
})
