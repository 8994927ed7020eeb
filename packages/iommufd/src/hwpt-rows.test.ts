import { afterEach, beforeEach, expect, test } from 'vitest'
import { HWPT_FLAG, IOMMU_DESTROY, IOMMU_FAULT_QUEUE_ALLOC, IOMMU_HWPT_ALLOC, IOMMU_IOAS_MAP } from './uapi.ts'
import { errnoOf, World } from './world.test-kit.ts'

let world: World
let fd: number
let ioas: number
let device: number
beforeEach(() => {
  world = new World()
  fd = world.open()
  ioas = world.ioas(fd)
  device = world.bind(fd, 'a').id
})
afterEach(() => world.host.close())
const alloc = (values: object): number =>
  world.client.ioctl(fd, IOMMU_HWPT_ALLOC, { dev_id: device, pt_id: ioas, ...values }).out_hwpt_id

test.each([
  ['a reserved member before everything', { __reserved: 1, data_len: 8, dev_id: 99, flags: 0x10 }, 'EOPNOTSUPP'],
  ['data without a kind', { data_len: 8, dev_id: 99 }, 'EINVAL'],
  ['a kind without data', { data_type: 1, dev_id: 99 }, 'EINVAL'],
  ['an unknown device', { dev_id: 99, pt_id: 99 }, 'ENOENT'],
  ['an IOAS in the place of the device', { dev_id: 1 }, 'ENOENT'],
  ['an unknown page table', { pt_id: 99, flags: 0x10 }, 'EINVAL'],
  ['a device in the place of the page table', { pt_id: 2 }, 'EINVAL'],
  ['an unknown flag', { flags: 0x10 }, 'EOPNOTSUPP'],
  ['a parent of nested tables', { flags: HWPT_FLAG.NEST_PARENT }, 'EOPNOTSUPP'],
  ['dirty tracking', { flags: HWPT_FLAG.DIRTY_TRACKING }, 'EOPNOTSUPP'],
  ['data for a table of the kernel', { data_type: 1, data_len: 24 }, 'EOPNOTSUPP'],
  ['a fault queue that is none', { flags: HWPT_FLAG.FAULT_ID_VALID, fault_id: 99 }, 'ENOENT'],
] as const)('refuses %s', (_, values, errno) => {
  expect(errnoOf(() => alloc(values))).toBe(errno)
  expect([alloc({}), world.domains.filter((d) => !d.freed).length]).toEqual([3, 1])
})

test('looks neither at the second reserved member nor at a fault queue without its flag', () => {
  expect(alloc({ __reserved2: 1, fault_id: 99 })).toBe(3)
})

test('a program that knows no data and no fault queues passes a shorter struct', () => {
  expect([alloc({ size: 24 }), alloc({ size: 40 }), errnoOf(() => alloc({ size: 23 }))]).toEqual([3, 4, 'EINVAL'])
})

test('on another HWPT there can be no nested one', () => {
  const parent = alloc({})
  expect(errnoOf(() => alloc({ pt_id: parent }))).toBe('EOPNOTSUPP')
  expect(errnoOf(() => alloc({ pt_id: parent, data_type: 1, data_len: 24 }))).toBe('EOPNOTSUPP')
})

test('is gone again when its id cannot be written back', () => {
  const { struct, number } = IOMMU_HWPT_ALLOC
  const at = world.memory(1)
  world.client.poke(at, struct!.make({ size: 48, dev_id: device, pt_id: ioas }))
  world.client.process.addressSpace.protect(at, 4096, { read: true, write: false })
  expect(errnoOf(() => world.client.ioctl(fd, number, at))).toBe('EFAULT')
  expect([world.domains[0]?.freed, alloc({})]).toEqual([true, 3])
})

test('takes a mapping whose memory is not there for what it is: EFAULT, and no id is used', () => {
  world.client.ioctl(fd, IOMMU_IOAS_MAP, { ioas_id: ioas, flags: 7, user_va: 0n, length: 4096n, iova: 0n })
  expect(errnoOf(() => alloc({}))).toBe('EFAULT')
  expect(world.ioas(fd)).toBe(3)
})

test('keeps its IOAS and its fault queue', () => {
  const { out_fault_id: fault_id, out_fault_fd } = world.client.ioctl(fd, IOMMU_FAULT_QUEUE_ALLOC, {})
  const hwpt = alloc({ flags: HWPT_FLAG.FAULT_ID_VALID, fault_id })
  world.client.close(out_fault_fd)
  const destroy = (id: number): number => world.client.ioctl(fd, IOMMU_DESTROY, { id }).id
  expect([errnoOf(() => destroy(ioas)), errnoOf(() => destroy(fault_id))]).toEqual(['EBUSY', 'EBUSY'])
  destroy(hwpt)
  expect([destroy(ioas), destroy(fault_id)]).toEqual([ioas, fault_id])
})

test('a fault queue whose descriptor cannot be had or told uses neither id nor descriptor', () => {
  const at = world.memory(1)
  world.client.poke(at, IOMMU_FAULT_QUEUE_ALLOC.struct!.make({ size: 16 }))
  world.client.process.addressSpace.protect(at, 4096, { read: true, write: false })
  const before = world.client.fds.all.length
  expect(errnoOf(() => world.client.ioctl(fd, IOMMU_FAULT_QUEUE_ALLOC.number, at))).toBe('EFAULT')
  expect([world.client.fds.all.length, world.client.ioctl(fd, IOMMU_FAULT_QUEUE_ALLOC, {}).out_fault_id]).toEqual([
    before,
    3,
  ])
  world.client.process.limits = { ...world.client.process.limits, nofile: world.client.fds.all.length }
  expect(errnoOf(() => world.client.ioctl(fd, IOMMU_FAULT_QUEUE_ALLOC, {}))).toBe('EMFILE')
  expect(world.ioas(fd)).toBe(4)
})
