import type { IoctlCall } from '@ioasis/core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import * as uapi from './uapi.ts'
import { World } from './world.test-kit.ts'

let world: World
let fd: number
/** IOAS 1, device 2, HWPT 3. */
beforeAll(() => {
  world = new World()
  fd = world.open()
  const ioas = world.ioas(fd)
  world.hwpt(fd, world.bind(fd, 'a').id, ioas)
})
afterAll(() => world.host.close())

const { IOMMU_HWPT_SET_DIRTY_TRACKING: SET, IOMMU_HWPT_GET_DIRTY_BITMAP: GET, IOMMU_HWPT_INVALIDATE: INVALIDATE } = uapi
const {
  IOMMU_VIOMMU_ALLOC: VIOMMU,
  IOMMU_VDEVICE_ALLOC: VDEVICE,
  IOMMU_VEVENTQ_ALLOC: EVENTS,
  IOMMU_HW_QUEUE_ALLOC: QUEUE,
} = uapi
const BITMAP = { hwpt_id: 3, iova: 0n, length: 0x1000n, page_size: 4096n }
const EVENT = { type: 1, viommu_id: 9, veventq_depth: 4 }

test.each<readonly [what: string, call: IoctlCall<never>, values: object, errno: string]>([
  ['an unknown flag', SET as never, { flags: 2, hwpt_id: 99 }, 'EOPNOTSUPP'],
  ['an IOAS', SET as never, { flags: 1, hwpt_id: 1 }, 'ENOENT'],
  ['an HWPT without dirty tracking', SET as never, { flags: 1, hwpt_id: 3 }, 'EOPNOTSUPP'],
  ['an unknown flag', GET as never, { ...BITMAP, flags: 2, hwpt_id: 99 }, 'EOPNOTSUPP'],
  ['an unknown HWPT', GET as never, { ...BITMAP, hwpt_id: 99, length: 0n }, 'ENOENT'],
  ['no bytes', GET as never, { ...BITMAP, length: 0n, page_size: 0n }, 'EOVERFLOW'],
  ['the end of all iovas', GET as never, { ...BITMAP, iova: 0xfffffffffffff000n, length: 0x2000n }, 'EOVERFLOW'],
  ['an iova that is not aligned', GET as never, { ...BITMAP, iova: 0x800n }, 'EINVAL'],
  ['no page size', GET as never, { ...BITMAP, page_size: 0n }, 'EINVAL'],
  ['a range of half a page', GET as never, { ...BITMAP, page_size: 8192n }, 'EINVAL'],
  ['an HWPT without dirty tracking', GET as never, BITMAP, 'EOPNOTSUPP'],
  ['a reserved member', INVALIDATE as never, { __reserved: 1, hwpt_id: 99, entry_num: 1 }, 'EOPNOTSUPP'],
  ['entries that are nowhere', INVALIDATE as never, { hwpt_id: 99, entry_num: 1, entry_len: 24 }, 'EINVAL'],
  ['entries without size', INVALIDATE as never, { hwpt_id: 99, entry_num: 1, data_uptr: 4096n }, 'EINVAL'],
  [
    'too many entries',
    INVALIDATE as never,
    { hwpt_id: 99, entry_num: 0x80001, data_uptr: 4096n, entry_len: 8 },
    'EINVAL',
  ],
  ['an unknown object', INVALIDATE as never, { hwpt_id: 99 }, 'ENOENT'],
  ['what cannot be invalidated', INVALIDATE as never, { hwpt_id: 3 }, 'EINVAL'],
  ['no type', VIOMMU as never, { dev_id: 99 }, 'EOPNOTSUPP'],
  ['an unknown device', VIOMMU as never, { type: 1, dev_id: 99 }, 'ENOENT'],
  ['a device without virtual IOMMUs', VIOMMU as never, { type: 1, dev_id: 2, hwpt_id: 99 }, 'EOPNOTSUPP'],
  ['what is no virtual IOMMU', VDEVICE as never, { viommu_id: 3, dev_id: 99 }, 'ENOENT'],
  ['no type', EVENTS as never, { ...EVENT, type: 0, veventq_depth: 0 }, 'EOPNOTSUPP'],
  ['no depth', EVENTS as never, { ...EVENT, veventq_depth: 0 }, 'EINVAL'],
  ['too much depth', EVENTS as never, { ...EVENT, veventq_depth: 0x80001 }, 'EINVAL'],
  ['what is no virtual IOMMU', EVENTS as never, EVENT, 'ENOENT'],
  ['no type', QUEUE as never, { length: 0n }, 'EOPNOTSUPP'],
  ['no bytes', QUEUE as never, { type: 1, length: 0n }, 'EINVAL'],
  ['the end of all iovas', QUEUE as never, { type: 1, length: 2n, nesting_parent_iova: uapi.U64_MAX }, 'EOVERFLOW'],
  ['what is no virtual IOMMU', QUEUE as never, { type: 1, length: 4096n }, 'ENOENT'],
])('%s: %o %o', (_, call, values, errno) => {
  expect(world.client.attempt(fd, call, values as never).errno).toBe(errno)
})

test('a refused invalidation tells that no entry was done', () => {
  const { out } = world.client.attempt(fd, INVALIDATE, { hwpt_id: 3, entry_num: 5, entry_len: 8, data_uptr: 4096n })
  expect(out.entry_num).toBe(0)
})
