import { POLL } from '@ioasis/core'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { PAPER_TYPE } from './paper-nesting.test-kit.ts'
import { HWPT_FLAG, IOMMU_DESTROY, IOMMU_VEVENTQ_ALLOC, IOMMU_VIOMMU_ALLOC, VEVENT_HEADER } from './uapi.ts'
import { errnoOf, World } from './world.test-kit.ts'

let world: World
let fd: number
let device: ReturnType<World['bind']>
let viommu_id: number
let events: number
let queue: number
beforeEach(() => {
  world = new World({ advanced: true })
  fd = world.open()
  device = world.bind(fd, 'a')
  const hwpt_id = world.hwpt(fd, device.id, world.ioas(fd), HWPT_FLAG.NEST_PARENT)
  const { out_viommu_id } = world.client.ioctl(fd, IOMMU_VIOMMU_ALLOC, { type: PAPER_TYPE, dev_id: device.id, hwpt_id })
  viommu_id = out_viommu_id
  const made = alloc()
  events = made.out_veventq_fd
  queue = made.out_veventq_id
})
afterEach(() => {
  device.unbind()
  world.end()
})
const alloc = (values: object = {}): { out_veventq_fd: number; out_veventq_id: number } =>
  world.client.ioctl(fd, IOMMU_VEVENTQ_ALLOC, { type: 1, viommu_id, veventq_depth: 2, ...values })
const report = (...bytes: number[]): void => world.viommus.frames[0]?.report(1, Uint8Array.from(bytes))
/** Each event as flags, number and data of 2 bytes. */
const read = (room = 100): readonly (readonly number[])[] => {
  const into = new Uint8Array(room)
  const got = world.client.read(events, into)
  const found: number[][] = []
  for (let at = 0; at < got;) {
    const { flags, sequence } = VEVENT_HEADER.decode(into.subarray(at, at + 8))
    const data = flags === 0 ? 2 : 0
    found.push([flags, sequence, ...into.subarray(at + 8, at + 8 + data)])
    at += 8 + data
  }
  return found
}
const ready = (): number | undefined => world.client.poll([{ fd: events, events: POLL.IN | POLL.OUT }])[0]

test('events are read with their numbers, as many as fit', () => {
  expect([ready(), read()]).toEqual([0, []])
  report(1, 2)
  report(3, 4)
  expect([ready(), read(19), read(), ready()]).toEqual([POLL.IN, [[0, 0, 1, 2]], [[0, 1, 3, 4]], 0])
})

test('what is lost is told at the tail, and by a gap once there is room', () => {
  report(1, 2)
  report(3, 4)
  report(5, 6)
  report(7, 8)
  expect(read(10)).toEqual([[0, 0, 1, 2]])
  report(9, 10)
  expect(read()).toEqual([
    [0, 1, 3, 4],
    [0, 4, 9, 10],
  ])
  for (let i = 0; i < 3; i++) report(i, i)
  expect(read()).toEqual([
    [0, 5, 0, 0],
    [0, 6, 1, 1],
    [1, 7],
  ])
  expect(ready()).toBe(0)
})

test('a buffer for less than a header, or than the first event, is refused', () => {
  expect(errnoOf(() => read(7))).toBe('EINVAL')
  report(1, 2)
  expect(errnoOf(() => read(9))).toBe('EINVAL')
  expect(read(10)).toEqual([[0, 0, 1, 2]])
})

test('it cannot be written, and there is one for each type', () => {
  expect(errnoOf(() => world.client.write(events, new Uint8Array(8)))).toBe('EINVAL')
  expect(errnoOf(() => alloc())).toBe('EEXIST')
  expect(alloc({ type: 2 }).out_veventq_id).toBe(queue + 1)
})

test('its file keeps it, and it keeps the virtual IOMMU', () => {
  const destroy = (id: number): void => void world.client.ioctl(fd, IOMMU_DESTROY, { id })
  expect(errnoOf(() => destroy(queue))).toBe('EBUSY')
  world.client.close(events)
  expect(errnoOf(() => destroy(viommu_id))).toBe('EBUSY')
  destroy(queue)
  expect(() => report(1, 2)).toThrow('EOPNOTSUPP')
  destroy(viommu_id)
})

test('without a free descriptor nothing is left of it', () => {
  world.client.close(events)
  world.client.ioctl(fd, IOMMU_DESTROY, { id: queue })
  const { limits } = world.client.process
  world.client.process.limits = { ...limits, nofile: 0 }
  expect(errnoOf(() => alloc())).toBe('EMFILE')
  world.client.process.limits = limits
  expect(alloc().out_veventq_id).toBe(queue)
})

test('an event that the buffer cannot take stays', () => {
  const { client } = world
  const user = client.mmap({ bytes: 8192 })
  client.munmap(user + 4096n, 4096)
  report(1, 2)
  report(3, 4)
  expect(errnoOf(() => client.readTo(events, user + 4088n, 20))).toBe('EFAULT')
  expect(client.readTo(events, user + 4086n, 20)).toBe(10)
  expect(read()).toEqual([[0, 1, 3, 4]])
})
