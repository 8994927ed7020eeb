/** Each allocation fails in turn, as in tools/testing/selftests/iommu/iommufd_fail_nth.c: the call says so, and leaves nothing. */
import { Pages } from '@ioasis/core'
import * as mock from '@ioasis/iommu-mock'
import { IOMMU_HW_QUEUE_ALLOC, IOMMU_VDEVICE_ALLOC, IOMMU_VIOMMU_ALLOC } from '@ioasis/iommufd'
import { expect, test } from 'vitest'
import { ending, MockBench, PAGE, selftestData, START } from './mock-bench.test-kit.ts'

/** A program; its memory is there before anything fails. */
type Flow = (bench: MockBench, user: bigint) => void

const FLOWS: Readonly<Record<string, Flow>> = {
  'map and unmap with two domains': (bench, user) => {
    const one = bench.device()
    bench.device(bench.newIoas())
    bench.hwpt(one.idev, bench.ioas)
    bench.map(user, 16n * PAGE, START)
    bench.unmap(START, 16n * PAGE)
  },
  'a domain after its areas': (bench, user) => {
    bench.map(user, 8n * PAGE, START)
    bench.map(user + 0x800n, 8n * PAGE, START + 0x4000_0000n)
    const { stdev } = bench.device()
    bench.replace(stdev, bench.newIoas())
  },
  'a virtual IOMMU and all that hangs on it': (bench, user) => {
    const { idev, stdev } = bench.device()
    const parent = bench.hwpt(idev, bench.ioas, 1)
    const data_uptr = user + 8n * PAGE
    const given = { dev_id: idev, hwpt_id: parent, type: mock.VIOMMU_TYPE_SELFTEST, data_len: 24, data_uptr }
    const viommu_id = bench.call(IOMMU_VIOMMU_ALLOC, given).out_viommu_id
    bench.call(IOMMU_VDEVICE_ALLOC, { viommu_id, dev_id: idev, virt_id: 5n })
    bench.replace(stdev, bench.hwpt(idev, viommu_id, 0, selftestData()))
    bench.map(user, 4n * PAGE, START)
    bench.call(IOMMU_HW_QUEUE_ALLOC, {
      viommu_id,
      type: mock.HW_QUEUE_TYPE_SELFTEST,
      index: 0,
      nesting_parent_iova: START,
      length: PAGE,
    })
  },
  'pins through an access': (bench, user) => {
    bench.map(user, 4n * PAGE, START)
    const id = bench.call(mock.IOMMU_TEST_OP_CREATE_ACCESS, { id: bench.ioas, flags: 1 }).out_access_fd
    bench.call(mock.IOMMU_TEST_OP_ACCESS_PAGES, { id, iova: START, length: 4n * PAGE, uptr: user, flags: 1 })
    bench.device()
  },
  'a dma-buf': (bench) => {
    bench.device()
    const fd = bench.ret(mock.IOMMU_TEST_OP_DMABUF_GET, { length: 0x4000, open_flags: 2 })
    bench.mapFile(fd, 0n, 4n * PAGE, START)
    bench.call(mock.IOMMU_TEST_OP_DMABUF_REVOKE, { dmabuf_fd: fd, revoked: 1 })
  },
}

test.each(Object.entries(FLOWS))('%s', (_name, flow) => {
  const endings: string[] = []
  for (let hit = true, nth = 1; hit; nth++) {
    using bench = new MockBench()
    const user = bench.vmm.mmap({ bytes: 32n * PAGE })
    bench.vmm.poke(user + 8n * PAGE, mock.VIOMMU_SELFTEST.make({ in_data: 1 }))
    // Room for structs is there as well.
    bench.vmm.put(new Uint8Array(8))
    const pages = bench.host.get(Pages)
    pages.failAfter = nth
    endings.push(ending(() => flow(bench, user)))
    hit = pages.failAfter === undefined
    pages.failAfter = undefined
    bench.sound()
    // The context is as good as new.
    expect(ending(() => bench.device(bench.newIoas()))).toBe('ok')
  }
  // A page that cannot be had in the midst of others is asked for once more: the call may go on.
  expect(new Set(endings)).toEqual(new Set(['ENOMEM', 'ok']))
  expect(endings.at(-1)).toBe('ok')
  expect(endings.length).toBeGreaterThan(4)
})
