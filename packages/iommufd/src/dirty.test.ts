import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  GET_DIRTY_FLAG,
  HWPT_FLAG,
  IOMMU_GET_HW_INFO,
  IOMMU_HWPT_GET_DIRTY_BITMAP,
  IOMMU_HWPT_SET_DIRTY_TRACKING,
} from './uapi.ts'
import { errnoOf, type PaperDomain, World } from './world.test-kit.ts'

const BASE = 0x10_0000n
let world: World
let fd: number
let device: ReturnType<World['bind']>
let hwpt_id: number
let domain: PaperDomain
let bitmap: bigint
beforeEach(() => {
  world = new World({ advanced: true })
  fd = world.open()
  device = world.bind(fd, 'a')
  const ioas = world.ioas(fd)
  hwpt_id = world.hwpt(fd, device.id, ioas, HWPT_FLAG.DIRTY_TRACKING)
  domain = world.domains[0] as PaperDomain
  world.map(fd, ioas, world.memory(64), 64 * 4096, BASE)
  world.map(fd, ioas, world.memory(1), 4096, BASE + 65n * 4096n)
  bitmap = world.memory(2)
})
afterEach(() => {
  device.unbind()
  world.end()
})
const track = (flags = 1): void => void world.client.ioctl(fd, IOMMU_HWPT_SET_DIRTY_TRACKING, { hwpt_id, flags })
const read = (values: object = {}, at = bitmap, bytes = 9): readonly number[] => {
  const range = { iova: BASE, length: 64n * 4096n, page_size: 4096n }
  world.client.ioctl(fd, IOMMU_HWPT_GET_DIRTY_BITMAP, { hwpt_id, data: at, ...range, ...values })
  return [...world.client.peek(at, bytes)]
}
const writes = (...pages: number[]): void => pages.forEach((page) => domain.write(BASE + BigInt(page) * 4096n))

test('GET_HW_INFO tells that it can be had', () => {
  const { out_capabilities } = world.client.ioctl(fd, IOMMU_GET_HW_INFO, { dev_id: device.id })
  expect(out_capabilities).toBe(9n)
})

test('a bit is set for each page written since the last time', () => {
  writes(5)
  track()
  writes(0, 8, 9, 63)
  expect(read()).toEqual([1, 3, 0, 0, 0, 0, 0, 0x80, 0])
  writes(1)
  // Bits of other pages are left alone.
  expect(read()).toEqual([3, 3, 0, 0, 0, 0, 0, 0x80, 0])
  track(0)
  writes(2)
  expect(read()[0]).toBe(3)
})

test('NO_CLEAR leaves them for the next time', () => {
  track()
  writes(4)
  read({ flags: GET_DIRTY_FLAG.NO_CLEAR })
  expect(read({}, bitmap + 64n)[0]).toBe(0x10)
  expect(read({}, bitmap + 128n)[0]).toBe(0)
})

test('a bit may stand for several pages, and the bitmap lie at any byte', () => {
  track()
  writes(0, 1, 17)
  expect(read({ page_size: 16384n }, bitmap + 4095n, 3)).toEqual([0x11, 0, 0])
})

test('it goes up to the first hole', () => {
  track()
  writes(1, 65)
  expect(read({ length: 66n * 4096n }, bitmap, 10)).toEqual([2, 0, 0, 0, 0, 0, 0, 0, 0, 0])
  expect(read({ iova: BASE + 65n * 4096n, length: 4096n }, bitmap + 100n, 1)).toEqual([1])
})

test('bits that cannot be written are lost without an error', () => {
  track()
  writes(0, 8, 9)
  const at = bitmap + 4095n
  world.client.process.addressSpace.protect(bitmap + 4096n, 4096, { read: true, write: false })
  expect(read({}, at, 2)).toEqual([1, 0])
  expect(read({}, bitmap, 2)).toEqual([0, 0])
})

test('a table that was not made for it refuses', () => {
  const plain = world.hwpt(fd, device.id, 2)
  expect(errnoOf(() => read({ hwpt_id: plain }))).toBe('EOPNOTSUPP')
})
