/** Operations of scripts that no recording here uses: the player makes each, and prints what goes in and comes out. */
import { playTraces, readTraces } from '@ioasis/testkit'
import { expect, test } from 'vitest'
import { labTraceMachine } from './lab-kernel.ts'

const LINES = [
  'open iommu /dev/iommu',
  'mem buf 64k',
  'IOMMU_IOAS_ALLOC @iommu -> a=out_ioas_id',
  'IOMMU_IOAS_ALLOC @iommu -> b=out_ioas_id',
  'MOCK_DOMAIN @iommu id=$a -> st=out_stdev_id hw=out_hwpt_id id=out_idev_id',
  'MOCK_MEMORY_LIMIT @iommu limit=11',
  'IOMMU_IOAS_MAP @iommu ioas_id=$a flags=FIXED|RW user_va=&buf length=0x2000 iova=0x1000000',
  'MOCK_CHECK_REFS @iommu length=0x2000 uptr=&buf refs=1',
  'MOCK_CREATE_ACCESS @iommu id=$a flags=1 -> acc=out_access_fd',
  'MOCK_ACCESS_PAGES @iommu id=@acc iova=0x1000000 length=0x1000 uptr=&buf -> item=out_access_pages_id',
  'MOCK_DESTROY_ACCESS_PAGES @iommu id=@acc access_pages_id=$item',
  'MOCK_ACCESS_RW @iommu id=@acc iova=0x1000000 length=4 flags=1 data=hex:01020304',
  'MOCK_ACCESS_RW @iommu id=@acc iova=0x1000002 length=2 datalen=2',
  'MOCK_ACCESS_REPLACE @iommu id=@acc ioas_id=$b',
  'IOMMU_HWPT_ALLOC @iommu dev_id=$id pt_id=$a flags=IOMMU_HWPT_ALLOC_NEST_PARENT -> p=out_hwpt_id',
  'IOMMU_HWPT_ALLOC @iommu dev_id=$id pt_id=$p data_type=0xdead data=u32:7,0 -> n=out_hwpt_id',
  'MOCK_CHECK_IOTLB @iommu id=$n iotlb_id=1 iotlb=7',
  'MOCK_CHECK_IOTLB @iommu id=$n cache_id=4 cache=7',
  'MOCK_DMABUF_GET @iommu length=0x1000 open_flags=2 -> dma',
  'MOCK_DMABUF_REVOKE @iommu dmabuf_fd=@dma revoked=1',
  'MOCK_DMABUF_GET @iommu op=99',
]

test('each is known, with its members', () => {
  const steps = LINES.map((src, i) => ({
    step: i + 1,
    op: src.split(' ')[0],
    in: {},
    ret: 0,
    errno: null,
    out: {},
    src,
  }))
  const header = { scenario: 'mock/all', title: 'all', machine: 'intel.test' }
  const text = [header, ...steps, { end: true, steps: steps.length }].map((line) => JSON.stringify(line)).join('\n')
  const [outcome] = playTraces(readTraces(text, 'all'), { make: (name) => labTraceMachine(name) })
  const played = outcome?.played.map(({ ours }) => ours) ?? []
  const of = (op: string) => played.filter((step) => step.op === op)
  expect(played).toHaveLength(LINES.length)
  expect(of('MOCK_DOMAIN')[0]).toMatchObject({
    in: { fd: '@iommu', size: 72, op: 2, id: 1, __reserved: 0 },
    out: { out_stdev_id: 3, out_hwpt_id: 5, out_idev_id: 4 },
  })
  expect(of('MOCK_MEMORY_LIMIT')[0]).toMatchObject({ in: { op: 9, limit: 11 }, errno: 'EINVAL' })
  expect(of('MOCK_CHECK_REFS')[0]).toMatchObject({ in: { uptr: '&buf', refs: 1 }, errno: null })
  expect(of('MOCK_CREATE_ACCESS')[0]?.out).toEqual({ out_access_fd: 'fd' })
  expect(of('MOCK_ACCESS_PAGES')[0]).toMatchObject({ in: { id: '@acc', flags: 0 }, out: { out_access_pages_id: 0 } })
  expect(of('MOCK_DESTROY_ACCESS_PAGES')[0]?.errno).toBeNull()
  expect(of('MOCK_ACCESS_RW').map(({ out }) => out)).toEqual([{ data: '01020304' }, { data: '0304' }])
  expect(of('MOCK_ACCESS_REPLACE')[0]).toMatchObject({ in: { ioas_id: 2 }, errno: null })
  expect(of('MOCK_CHECK_IOTLB')).toMatchObject([
    { in: { op: 14, iotlb_id: 1, iotlb: 7 }, errno: null },
    { in: { op: 14, cache_id: 4, cache: 7 }, errno: 'EINVAL' },
  ])
  expect(of('MOCK_DMABUF_GET')).toMatchObject([
    { ret: 'fd', out: {} },
    { in: { op: 99 }, ret: -1, errno: 'EOPNOTSUPP' },
  ])
  expect(of('MOCK_DMABUF_REVOKE')[0]).toMatchObject({ in: { dmabuf_fd: '@dma', revoked: 1 }, errno: null })
})
