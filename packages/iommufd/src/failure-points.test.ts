/** Each small allocation of a call fails in turn: ENOMEM, nothing is left, and the call works afterwards. */
import { type FailurePoints, Failures, NO_PASID } from '@ioasis/core'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { PAPER_DATA, PAPER_TYPE } from './paper-nesting.test-kit.ts'
import {
  HWPT_FLAG,
  IOMMU_DESTROY,
  IOMMU_FAULT_QUEUE_ALLOC,
  IOMMU_HW_QUEUE_ALLOC,
  IOMMU_HWPT_ALLOC,
  IOMMU_IOAS_ALLOC,
  IOMMU_IOAS_COPY,
  IOMMU_VDEVICE_ALLOC,
  IOMMU_VEVENTQ_ALLOC,
  IOMMU_VIOMMU_ALLOC,
  VEVENT_HEADER,
} from './uapi.ts'
import { errnoOf, World } from './world.test-kit.ts'

let points: FailurePoints
let world: World
let fd: number
let ioas: number
let device: ReturnType<World['bind']>
let parent: number
let viommu_id: number
beforeEach(() => {
  world = new World({ advanced: true, pasidBits: 20 })
  points = world.host.get(Failures)
  fd = world.open()
  ioas = world.ioas(fd)
  device = world.bind(fd, 'a')
  parent = world.hwpt(fd, device.id, ioas, HWPT_FLAG.NEST_PARENT)
  const type = { type: PAPER_TYPE, dev_id: device.id, hwpt_id: parent }
  viommu_id = world.client.ioctl(fd, IOMMU_VIOMMU_ALLOC, type).out_viommu_id
})
afterEach(() => {
  device.unbind()
  world.end()
})

/** The lowest free id, and what is pinned. */
const state = (): object => {
  const id = world.ioas(fd)
  world.client.ioctl(fd, IOMMU_DESTROY, { id })
  return { id, pinned: world.frames.pinned, fds: world.client.fds.all.length }
}
/** @returns how often it failed before it worked */
function failEach(action: () => void): number {
  for (let n = 1; ; n++) {
    const before = state()
    points.arm(n, ['object', 'queue'])
    const errno = errnoOf(action)
    points.disarm()
    world.audit()
    if (errno === undefined) return n - 1
    expect({ ...state(), errno }).toEqual({ ...before, errno: 'ENOMEM' })
  }
}
const put = (bytes: Uint8Array): bigint => {
  const at = world.memory(1)
  world.client.poke(at, bytes)
  return at
}

test('objects of every kind', () => {
  const { client } = world
  const data_uptr = put(PAPER_DATA.make({ value: 1 }))
  const nested = { dev_id: device.id, data_type: PAPER_TYPE, data_len: 4, data_uptr }
  world.map(fd, ioas, world.memory(1), 4096, 0x10_0000n)
  const queue = { viommu_id, type: PAPER_TYPE, nesting_parent_iova: 0x10_0000n, length: 4096n }
  expect([
    failEach(() => client.ioctl(fd, IOMMU_IOAS_ALLOC, {})),
    failEach(() => client.ioctl(fd, IOMMU_HWPT_ALLOC, { dev_id: device.id, pt_id: ioas })),
    failEach(() => client.ioctl(fd, IOMMU_HWPT_ALLOC, { ...nested, pt_id: parent })),
    failEach(() => client.ioctl(fd, IOMMU_HWPT_ALLOC, { ...nested, pt_id: viommu_id })),
    failEach(() => client.ioctl(fd, IOMMU_FAULT_QUEUE_ALLOC, {})),
    failEach(() => client.ioctl(fd, IOMMU_VEVENTQ_ALLOC, { viommu_id, type: 1, veventq_depth: 1 })),
    failEach(() => client.ioctl(fd, IOMMU_VDEVICE_ALLOC, { viommu_id, dev_id: device.id, virt_id: 1n })),
    failEach(() => client.ioctl(fd, IOMMU_HW_QUEUE_ALLOC, queue)),
  ]).toEqual([1, 2, 1, 1, 1, 1, 1, 2])
})

test('binding, attaching and replacing', () => {
  let other = device
  expect(failEach(() => (other = world.bind(fd, 'b')))).toBe(1)
  expect(failEach(() => device.attach(ioas))).toBeGreaterThan(3)
  const hwpt = world.hwpt(fd, device.id, ioas, HWPT_FLAG.PASID)
  expect(failEach(() => device.attach(hwpt))).toBe(1)
  expect(failEach(() => device.attach(hwpt, 5))).toBe(1)
  other.unbind()
})

test('mapping and copying several areas', () => {
  for (const i of [0n, 1n]) {
    expect(failEach(() => world.map(fd, ioas, world.memory(1), 4096, 0x10_0000n + i * 4096n))).toBe(1)
  }
  const copy = { flags: 6, src_ioas_id: ioas, dst_ioas_id: ioas, length: 8192n, src_iova: 0x10_0000n }
  expect(failEach(() => world.client.ioctl(fd, IOMMU_IOAS_COPY, copy))).toBe(2)
})

test('a page request that finds no memory is answered as failed, and a cookie that finds none can be asked for again', () => {
  const { out_fault_id: fault_id, out_fault_fd } = world.client.ioctl(fd, IOMMU_FAULT_QUEUE_ALLOC, {})
  const flags = HWPT_FLAG.FAULT_ID_VALID
  const call = { dev_id: device.id, pt_id: ioas, flags, fault_id }
  device.attach(world.client.ioctl(fd, IOMMU_HWPT_ALLOC, call).out_hwpt_id)
  const ask = { pasid: NO_PASID, iova: 0n, read: true, write: false, exec: false, priv: false, group: 1 }
  points.arm(1, ['object', 'queue'])
  expect(world.paper('a').request({ ...ask, last: true }).answer).toBe('failure')
  points.arm(1, ['object', 'queue'])
  expect(world.paper('a').request({ ...ask, last: false }).answer).toBe(undefined)
  world.paper('a').request({ ...ask, last: true })
  points.arm(1, ['object', 'queue'])
  expect(errnoOf(() => world.client.read(out_fault_fd, new Uint8Array(80)))).toBe('ENOMEM')
  expect(world.client.read(out_fault_fd, new Uint8Array(80))).toBe(40)
})

test('an event that finds no memory is told as lost', () => {
  const call = { viommu_id, type: 1, veventq_depth: 4 }
  const { out_veventq_fd } = world.client.ioctl(fd, IOMMU_VEVENTQ_ALLOC, call)
  points.arm(1, ['object', 'queue'])
  expect(() => world.viommus.frames[0]?.report(1, Uint8Array.of(1))).toThrow('ENOMEM')
  const into = new Uint8Array(16)
  expect(world.client.read(out_veventq_fd, into)).toBe(8)
  expect(VEVENT_HEADER.plain(into.subarray(0, 8))).toEqual({ flags: 1, sequence: 0 })
})
