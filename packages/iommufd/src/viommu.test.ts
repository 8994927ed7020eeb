import { afterEach, beforeEach, expect, test } from 'vitest'
import { PAPER_DATA, PAPER_INVALIDATION, PAPER_TYPE, PAPER_VIOMMU } from './paper-nesting.test-kit.ts'
import {
  HWPT_FLAG,
  IOMMU_DESTROY,
  IOMMU_HWPT_ALLOC,
  IOMMU_HWPT_INVALIDATE,
  IOMMU_VDEVICE_ALLOC,
  IOMMU_VIOMMU_ALLOC,
} from './uapi.ts'
import { errnoOf, World } from './world.test-kit.ts'

let world: World
let fd: number
let device: ReturnType<World['bind']>
let other: ReturnType<World['bind']>
let parent: number
beforeEach(() => {
  world = new World({ advanced: true, elsewhere: ['00:02.0'] })
  fd = world.open()
  device = world.bind(fd, 'a')
  other = world.bind(fd, 'b')
  parent = world.hwpt(fd, device.id, world.ioas(fd), HWPT_FLAG.NEST_PARENT)
})
afterEach(() => {
  device.unbind()
  other.unbind()
  world.end()
})
const put = (bytes: Uint8Array): bigint => {
  const at = world.memory(1)
  world.client.poke(at, bytes)
  return at
}
const viommu = (values: object = {}): number =>
  world.client.ioctl(fd, IOMMU_VIOMMU_ALLOC, { type: PAPER_TYPE, dev_id: device.id, hwpt_id: parent, ...values })
    .out_viommu_id
const vdevice = (viommu_id: number, virt_id: bigint, dev_id = device.id): number =>
  world.client.ioctl(fd, IOMMU_VDEVICE_ALLOC, { viommu_id, dev_id, virt_id }).out_vdevice_id
const destroy = (id: number): void => void world.client.ioctl(fd, IOMMU_DESTROY, { id })

test.each([
  ['a type there is not', { type: 1 }, 'EOPNOTSUPP'],
  ['an unknown parent, after the type', { type: 1, hwpt_id: 99 }, 'EOPNOTSUPP'],
  ['an unknown parent', { hwpt_id: 99 }, 'ENOENT'],
  ['an IOAS in the place of the parent', { hwpt_id: 3 }, 'ENOENT'],
  ['data that is too short', { data_len: 4 }, 'EINVAL'],
  ['data that cannot be read', { data_len: 16 }, 'EFAULT'],
] as const)('refuses %s, and lets the parent go', (_, values, errno) => {
  expect(errnoOf(() => viommu(values))).toBe(errno)
  destroy(parent)
})

test('its parent must be one', () => {
  const plain = world.hwpt(fd, device.id, 3)
  expect(errnoOf(() => viommu({ hwpt_id: plain }))).toBe('EINVAL')
})

test('its answer says what can be mapped, and the whole of that alone can be', () => {
  const data_uptr = put(PAPER_VIOMMU.make({ value: 9 }))
  const id = viommu({ data_len: PAPER_VIOMMU.size, data_uptr })
  const { echo, offset } = PAPER_VIOMMU.plain(world.client.peek(data_uptr, 16))
  expect([echo, offset]).toEqual([9, 0x1000n])
  expect(errnoOf(() => world.client.mmap({ fd, bytes: 4096, offset }))).toBe('ENXIO')
  expect(errnoOf(() => world.client.mmap({ fd, bytes: 8192, offset: 0x2000n }))).toBe('ENXIO')
  expect(errnoOf(() => world.client.mmap({ fd, bytes: 8192, offset, shared: false }))).toBe('EINVAL')
  const at = world.client.mmap({ fd, bytes: 8192, offset })
  expect(errnoOf(() => destroy(id))).toBe('EBUSY')
  world.client.munmap(at, 8192)
  destroy(id)
  expect(errnoOf(() => world.client.mmap({ fd, bytes: 8192, offset }))).toBe('ENXIO')
})

test('what is mapped outlives the descriptor', () => {
  const data_uptr = put(PAPER_VIOMMU.make({ value: 9 }))
  viommu({ data_len: PAPER_VIOMMU.size, data_uptr })
  const at = world.client.mmap({ fd, bytes: 8192, offset: 0x1000n })
  device.unbind()
  other.unbind()
  world.client.close(fd)
  world.client.poke(at, Uint8Array.of(7))
  expect([...world.client.peek(at, 1)]).toEqual([7])
  world.client.munmap(at, 8192)
  expect(world.viommus.log).toEqual(['gone'])
  fd = world.open()
  device = world.bind(fd, 'a')
  other = world.bind(fd, 'b')
})

test('a virtual device is found by its id while it is there', () => {
  const on = viommu()
  const frame = world.viommus.frames[0]
  const id = vdevice(on, 7n)
  expect(frame?.deviceOf(7n)?.fn?.name).toContain('00:01.0')
  expect(frame?.virtIdOf(frame.deviceOf(7n)!)).toBe(7n)
  expect(errnoOf(() => destroy(on))).toBe('EBUSY')
  destroy(id)
  expect(frame?.deviceOf(7n)).toBe(undefined)
  destroy(on)
  expect(world.viommus.log).toEqual(['added 0000:00:01.0 as 7', 'took 7', 'gone'])
})

test('a device has one virtual device, an id names one, and both stand behind the same hardware', () => {
  const on = viommu()
  vdevice(on, 7n)
  expect(errnoOf(() => vdevice(on, 8n))).toBe('EEXIST')
  expect(errnoOf(() => vdevice(on, 8n, other.id))).toBe('EINVAL')
  expect(errnoOf(() => vdevice(on, 8n, 99))).toBe('ENOENT')
  expect(errnoOf(() => vdevice(99, 8n))).toBe('ENOENT')
})

test('what its driver refuses leaves nothing', () => {
  const on = viommu()
  expect(errnoOf(() => vdevice(on, 13n))).toBe('ENOSPC')
  expect(vdevice(on, 14n)).toBe(on + 1)
})

test('when the device goes its virtual device goes, and the number is used up', () => {
  const on = viommu()
  const id = vdevice(on, 7n)
  device.unbind()
  expect(errnoOf(() => destroy(id))).toBe('ENOENT')
  destroy(on)
  destroy(parent)
  device = world.bind(fd, 'a')
  const ids = [device.id, world.ioas(fd), world.ioas(fd), world.ioas(fd)]
  expect(ids).not.toContain(id)
})

test('nested tables and invalidations can be asked of it', () => {
  const on = viommu()
  const data_uptr = put(PAPER_DATA.make({ value: 3 }))
  const nested = { dev_id: device.id, pt_id: on, data_type: PAPER_TYPE, data_len: 4, data_uptr }
  world.client.ioctl(fd, IOMMU_HWPT_ALLOC, nested)
  expect(errnoOf(() => world.client.ioctl(fd, IOMMU_HWPT_ALLOC, { ...nested, dev_id: other.id }))).toBe('EINVAL')
  expect(errnoOf(() => destroy(on))).toBe('EBUSY')
  vdevice(on, 7n)
  const entries = new Uint8Array(32)
  for (const i of [0, 1]) entries.set(PAPER_INVALIDATION.make({ value: 7 + i }), 16 * i)
  const call = { hwpt_id: on, data_type: PAPER_TYPE, data_uptr: put(entries), entry_len: 16 }
  const { errno, out } = world.client.attempt(fd, IOMMU_HWPT_INVALIDATE, { ...call, entry_num: 2 })
  expect([errno, out.entry_num]).toEqual(['EINVAL', 1])
  entries[9] = 1
  const { errno: tail } = world.client.attempt(fd, IOMMU_HWPT_INVALIDATE, {
    ...call,
    data_uptr: put(entries),
    entry_num: 2,
  })
  expect(tail).toBe('E2BIG')
})
