/** Memory ends at each allocation of an operation in turn: the refusal leaves nothing, and the operation works afterwards. */
import { Pages, UapiError } from '@ioasis/core'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { IOMMU_IOAS_COPY } from './uapi.ts'
import { errnoOf, World } from './world.test-kit.ts'

let world: World
let fd: number
let ioas: number
let device: ReturnType<World['bind']>
beforeEach(() => {
  world = new World()
  fd = world.open()
  ioas = world.ioas(fd)
  device = world.bind(fd, 'a')
})
afterEach(() => {
  device.unbind()
  world.end()
})

/** @returns how often it failed before it worked: pages that were made before a failure stay with the program */
function failEach(action: () => void): number {
  const pages = world.host.get(Pages)
  // Tables come from it as well.
  const alloc = pages.allocUser.bind(pages)
  const state = (): object => ({
    pins: world.frames.pinned,
    mapped: world.domains.filter((d) => !d.freed).map((d) => d.pages.size),
  })
  for (let n = 1; ; n++) {
    const before = state()
    let left = n
    // What was pinned in part is tried again: memory must stay at its end.
    pages.allocUser = (bytes, what) => {
      if (--left <= 0) throw new UapiError('ENOMEM', 'test')
      return alloc(bytes, what)
    }
    const errno = errnoOf(action)
    pages.allocUser = alloc
    world.audit()
    if (errno === undefined) return n - 1
    expect({ ...state(), errno }).toEqual({ ...before, errno: 'ENOMEM' })
  }
}

test('mapping memory that was never touched, with a domain', () => {
  device.attach(ioas)
  const memory = world.memory(4)
  expect(failEach(() => world.map(fd, ioas, memory, 4 * 4096, 0x10000n))).toBeGreaterThan(1)
})

test('attaching to an IOAS with mappings', () => {
  for (const iova of [0x10000n, 0x20000n]) world.map(fd, ioas, world.memory(3), 3 * 4096, iova)
  expect(failEach(() => device.attach(ioas))).toBeGreaterThan(1)
})

test('copying several areas', () => {
  const other = world.ioas(fd)
  world.map(fd, ioas, world.memory(2), 8192, 0x10000n)
  world.map(fd, ioas, world.memory(2), 8192, 0x12000n)
  device.attach(other)
  const copy = {
    flags: 7,
    src_ioas_id: ioas,
    dst_ioas_id: other,
    src_iova: 0x11000n,
    dst_iova: 0x50000n,
    length: 0x2000n,
  }
  expect(failEach(() => world.client.ioctl(fd, IOMMU_IOAS_COPY, copy))).toBeGreaterThan(1)
})

test('pinning for an emulated device', () => {
  world.map(fd, ioas, world.memory(3), 3 * 4096, 0x10000n)
  const access = world.access(fd)
  access.attach(ioas)
  expect(failEach(() => access.pin(0x10000n, 0x3000n, { write: true }))).toBeGreaterThan(1)
  access.unpin(0x10000n, 0x3000n)
  access.unbind()
})
