import { afterEach, beforeEach, expect, test } from 'vitest'
import { PAPER_DATA, PAPER_INVALIDATION, PAPER_TYPE } from './paper-nesting.test-kit.ts'
import { HWPT_FLAG, IOMMU_DESTROY, IOMMU_FAULT_QUEUE_ALLOC, IOMMU_HWPT_ALLOC, IOMMU_HWPT_INVALIDATE } from './uapi.ts'
import { errnoOf, World } from './world.test-kit.ts'

let world: World
let fd: number
let ioas: number
let device: ReturnType<World['bind']>
let parent: number
beforeEach(() => {
  world = new World({ advanced: true })
  fd = world.open()
  ioas = world.ioas(fd)
  device = world.bind(fd, 'a')
  parent = world.hwpt(fd, device.id, ioas, HWPT_FLAG.NEST_PARENT)
})
afterEach(() => {
  device.unbind()
  world.end()
})
const put = (bytes: Uint8Array): bigint => {
  const at = world.memory(1)
  world.client.poke(at, bytes)
  return at
}
const nested = (values: object = {}, value = 5): number =>
  world.client.ioctl(fd, IOMMU_HWPT_ALLOC, {
    dev_id: device.id,
    pt_id: parent,
    data_type: PAPER_TYPE,
    data_len: PAPER_DATA.size,
    data_uptr: put(PAPER_DATA.make({ value })),
    ...values,
  }).out_hwpt_id
const invalidate = (values: object): { errno: string | undefined; done: unknown } => {
  const { errno, out } = world.client.attempt(fd, IOMMU_HWPT_INVALIDATE, { data_type: PAPER_TYPE, ...values })
  return { errno, done: out.entry_num }
}

test('a nested table keeps its parent', () => {
  const id = nested()
  expect(world.nested[0]?.value).toBe(5)
  expect(errnoOf(() => world.client.ioctl(fd, IOMMU_DESTROY, { id: parent }))).toBe('EBUSY')
  world.client.ioctl(fd, IOMMU_DESTROY, { id })
  world.client.ioctl(fd, IOMMU_DESTROY, { id: parent })
  expect(world.nested[0]?.freed).toBe(true)
})

test.each([
  ['a flag of other tables', { flags: HWPT_FLAG.NEST_PARENT }, 'EOPNOTSUPP'],
  ['another kind of data', { data_type: 1 }, 'EINVAL'],
  ['too little data', { data_len: 3 }, 'EINVAL'],
  ['too much data', { data_len: 5 }, 'EINVAL'],
  ['data that cannot be read', { data_uptr: 8n }, 'EFAULT'],
  ['a fault queue that is none', { flags: HWPT_FLAG.FAULT_ID_VALID, fault_id: 1 }, 'ENOENT'],
] as const)('refuses %s, and leaves the parent free', (_, values, errno) => {
  expect(errnoOf(() => nested(values))).toBe(errno)
  world.client.ioctl(fd, IOMMU_DESTROY, { id: parent })
})

test('a table that was made for nothing of the kind is no parent', () => {
  const plain = world.hwpt(fd, device.id, ioas)
  expect(errnoOf(() => nested({ pt_id: plain }))).toBe('EINVAL')
  expect(errnoOf(() => nested({ pt_id: nested() }))).toBe('EINVAL')
})

test('a parent takes no fault queue; one for dirty tracking can be a parent', () => {
  const { NEST_PARENT, FAULT_ID_VALID, DIRTY_TRACKING } = HWPT_FLAG
  expect(errnoOf(() => world.hwpt(fd, device.id, ioas, NEST_PARENT | FAULT_ID_VALID))).toBe('EOPNOTSUPP')
  expect(world.hwpt(fd, device.id, ioas, NEST_PARENT | DIRTY_TRACKING)).toBe(4)
})

test('a device attached to it brings its reserved ranges to the IOAS of the parent', () => {
  const before = world.ranges(fd, ioas).ranges.length
  const id = nested()
  expect(device.attach(id)).toBe(id)
  expect(world.ranges(fd, ioas).ranges.length).toBe(before + 1)
  device.attach(parent)
  expect([world.ranges(fd, ioas).ranges.length, world.nested[0]?.users]).toEqual([before + 1, 0])
  device.detach()
  expect(world.ranges(fd, ioas).ranges.length).toBe(before)
})

test('the number of invalidations done is told, whether or not one is refused', () => {
  const hwpt_id = nested()
  const entries = new Uint8Array(12)
  for (let i = 0; i < 3; i++) entries.set(PAPER_INVALIDATION.make({ value: i < 2 ? 5 : 6 }).subarray(0, 4), 4 * i)
  const data_uptr = put(entries)
  expect(invalidate({ hwpt_id, data_uptr, entry_len: 4, entry_num: 2 })).toEqual({ errno: undefined, done: 2 })
  expect(invalidate({ hwpt_id, data_uptr, entry_len: 4, entry_num: 3 })).toEqual({ errno: 'EINVAL', done: 2 })
  expect(invalidate({ hwpt_id, data_uptr, entry_len: 3, entry_num: 1 })).toEqual({ errno: 'EINVAL', done: 0 })
  expect(invalidate({ hwpt_id, data_uptr, entry_len: 4, entry_num: 1, data_type: 1 })).toEqual({
    errno: 'EINVAL',
    done: 0,
  })
  expect(invalidate({ hwpt_id, entry_num: 0 })).toEqual({ errno: undefined, done: 0 })
  expect(invalidate({ hwpt_id: parent, data_uptr, entry_len: 4, entry_num: 1 })).toEqual({ errno: 'EINVAL', done: 0 })
})

test('page requests of any PASID go to the queue of the nested table', () => {
  const { out_fault_id, out_fault_fd } = world.client.ioctl(fd, IOMMU_FAULT_QUEUE_ALLOC, {})
  device.attach(nested({ flags: HWPT_FLAG.FAULT_ID_VALID, fault_id: out_fault_id }))
  const ask = { iova: 0n, read: true, write: false, exec: false, priv: false, last: true, group: 1 }
  const got = world.paper('a').request({ ...ask, pasid: 77 })
  expect(world.client.read(out_fault_fd, new Uint8Array(80))).toBe(40)
  device.detach()
  expect(got.answer).toBe('invalid')
  expect(world.paper('a').request({ ...ask, pasid: 77 }).answer).toBe('invalid')
})
