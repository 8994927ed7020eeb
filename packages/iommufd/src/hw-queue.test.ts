import { afterEach, beforeEach, expect, test } from 'vitest'
import { PAPER_TYPE } from './paper-nesting.test-kit.ts'
import { HWPT_FLAG, IOMMU_DESTROY, IOMMU_HW_QUEUE_ALLOC, IOMMU_VIOMMU_ALLOC, U64_MAX } from './uapi.ts'
import { errnoOf, World } from './world.test-kit.ts'

let world: World
let fd: number
let ioas: number
let device: ReturnType<World['bind']>
let viommu_id: number
beforeEach(() => {
  world = new World({ advanced: true })
  fd = world.open()
  ioas = world.ioas(fd)
  device = world.bind(fd, 'a')
  const hwpt_id = world.hwpt(fd, device.id, ioas, HWPT_FLAG.NEST_PARENT)
  const { out_viommu_id } = world.client.ioctl(fd, IOMMU_VIOMMU_ALLOC, { type: PAPER_TYPE, dev_id: device.id, hwpt_id })
  viommu_id = out_viommu_id
})
afterEach(() => {
  device.unbind()
  world.end()
})
const alloc = (values: object = {}): number =>
  world.client.ioctl(fd, IOMMU_HW_QUEUE_ALLOC, {
    type: PAPER_TYPE,
    viommu_id,
    nesting_parent_iova: 0x10_0000n,
    length: 0x2000n,
    ...values,
  }).out_hw_queue_id
const destroy = (id: number): void => void world.client.ioctl(fd, IOMMU_DESTROY, { id })

test('its pages stay pinned and mapped until it goes', () => {
  world.map(fd, ioas, world.memory(4), 0x4000, 0x10_0000n)
  const id = alloc({ nesting_parent_iova: 0x10_0800n, length: 0x1800n })
  const { hpa } = world.viommus.queues[0]!
  expect(hpa).toBe(world.domains[0]?.lookup(0x10_0800n))
  expect(errnoOf(() => world.unmap(fd, ioas, 0x10_0000n, 0x4000))).toBe('EBUSY')
  expect(errnoOf(() => world.unmap(fd, ioas, 0x10_0000n, 0x1000))).toBe('EBUSY')
  expect(errnoOf(() => world.unmap(fd, ioas, 0n, U64_MAX))).toBe('EBUSY')
  destroy(id)
  expect(world.unmap(fd, ioas, 0n, U64_MAX)).toBe(0x4000n)
})

test('the access that pins has the next number, and nobody can destroy it', () => {
  world.map(fd, ioas, world.memory(4), 0x4000, 0x10_0000n)
  const id = alloc()
  expect(errnoOf(() => destroy(id + 1))).toBe('EBUSY')
  expect(world.ioas(fd)).toBe(id + 2)
})

test('pages that do not lie together are refused, and nothing is left', () => {
  // Two programs take pages in turns.
  const scattered = world.memory(2)
  world.client.poke(scattered, Uint8Array.of(1))
  const between = world.memory(1)
  world.client.poke(between, Uint8Array.of(1))
  world.client.poke(scattered + 4096n, Uint8Array.of(1))
  world.map(fd, ioas, scattered, 0x2000, 0x10_0000n)
  expect(errnoOf(() => alloc())).toBe('EFAULT')
  expect(world.unmap(fd, ioas, 0x10_0000n, 0x2000)).toBe(0x2000n)
})

test.each([
  ['another type', { type: 1 }, 'EOPNOTSUPP'],
  ['what is not mapped', { nesting_parent_iova: 0x20_0000n }, 'ENOENT'],
  ['what is mapped in part', { length: 0x8000n }, 'ENOENT'],
  ['what its driver refuses', { index: 8 }, 'EINVAL'],
  ['more pages than can be listed', { length: 1n << 41n }, 'ENOMEM'],
  ['nearly all there is', { nesting_parent_iova: 0xfffn, length: 0xffff_ffff_ffff_f000n }, 'ERANGE'],
] as const)('refuses %s', (_, values, errno) => {
  world.map(fd, ioas, world.memory(4), 0x4000, 0x10_0000n)
  expect(errnoOf(() => alloc(values))).toBe(errno)
  world.unmap(fd, ioas, 0x10_0000n, 0x4000)
  destroy(viommu_id)
})

test('one that another depends on cannot go before it', () => {
  world.map(fd, ioas, world.memory(4), 0x4000, 0x10_0000n)
  const first = alloc()
  const second = alloc({ index: 1 })
  expect(errnoOf(() => destroy(first))).toBe('EBUSY')
  expect(errnoOf(() => destroy(viommu_id))).toBe('EBUSY')
  destroy(second)
  destroy(first)
})
