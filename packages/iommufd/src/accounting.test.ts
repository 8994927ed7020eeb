import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { IOMMU_IOAS_CHANGE_PROCESS, IOMMU_IOAS_COPY, IOMMU_IOAS_MAP_FILE, IOMMU_OPTION, OPTION_OP } from './uapi.ts'
import { errnoOf, World } from './world.test-kit.ts'

let world: World
let fd: number
const LIMIT = 4
/** A program that may lock four pages, as a user without capabilities. */
beforeEach(() => {
  world = new World()
  fd = world.open()
  const { process } = world.client
  process.limits = { ...process.limits, memlock: LIMIT * 4096 }
})
afterEach(() => world.end())
const drop = (client = world.client): void => {
  client.process.credentials = { uid: 1000, gid: 1000, capabilities: new Set() }
}
const counted = (client = world.client): object => {
  const { addressSpace, user } = client.process
  return { pinned: addressSpace.pinnedPages, mm: addressSpace.locked.pages, user: user.locked.pages }
}

describe('pinned pages', () => {
  test('count against the user, and not beyond the limit', () => {
    drop()
    const ioas = world.ioas(fd)
    const device = world.bind(fd, 'a')
    device.attach(ioas)
    world.map(fd, ioas, world.memory(3), 3 * 4096, 0x10000n)
    expect(counted()).toEqual({ pinned: 3, mm: 0, user: 3 })
    expect(errnoOf(() => world.map(fd, ioas, world.memory(2), 2 * 4096, 0x20000n))).toBe('ENOMEM')
    expect([counted(), world.frames.pinned]).toEqual([{ pinned: 3, mm: 0, user: 3 }, 3])
    world.map(fd, ioas, world.memory(1), 4096, 0x20000n)
    const copy = { flags: 7, src_ioas_id: ioas, dst_ioas_id: ioas, src_iova: 0x10000n, dst_iova: 0x30000n }
    world.client.ioctl(fd, IOMMU_IOAS_COPY, { ...copy, length: 0x1000n })
    expect(counted()).toEqual({ pinned: 4, mm: 0, user: 4 })
    device.unbind()
    expect(counted()).toEqual({ pinned: 0, mm: 0, user: 0 })
  })
  test('count against the address space where that was chosen', () => {
    world.client.ioctl(fd, IOMMU_OPTION, { option_id: 0, op: OPTION_OP.SET, val64: 1n })
    drop()
    const ioas = world.ioas(fd)
    const device = world.bind(fd, 'a')
    device.attach(ioas)
    world.map(fd, ioas, world.memory(4), 4 * 4096, 0x10000n)
    expect(counted()).toEqual({ pinned: 4, mm: 4, user: 0 })
    expect(errnoOf(() => world.map(fd, ioas, world.memory(1), 4096, 0x20000n))).toBe('ENOMEM')
    device.unbind()
  })
  test('of who may lock without limit are not counted, but told', () => {
    const ioas = world.ioas(fd)
    const device = world.bind(fd, 'a')
    device.attach(ioas)
    world.map(fd, ioas, world.memory(8), 8 * 4096, 0x10000n)
    expect(counted()).toEqual({ pinned: 8, mm: 0, user: 0 })
    device.unbind()
  })
  test('beyond the limit make an attach fail, and nothing stays', () => {
    drop()
    const ioas = world.ioas(fd)
    for (const iova of [0x10000n, 0x20000n]) world.map(fd, ioas, world.memory(3), 3 * 4096, iova)
    const device = world.bind(fd, 'a')
    expect(errnoOf(() => device.attach(ioas))).toBe('ENOMEM')
    expect([counted(), world.frames.pinned]).toEqual([{ pinned: 0, mm: 0, user: 0 }, 0])
    device.unbind()
  })
})

const change = (client = world.client): number => client.ioctl(fd, IOMMU_IOAS_CHANGE_PROCESS, {}).size

describe('IOMMU_IOAS_CHANGE_PROCESS', () => {
  test('moves what file mappings pin to the caller', () => {
    drop()
    const ioas = world.ioas(fd)
    const device = world.bind(fd, 'a')
    device.attach(ioas)
    const memfd = world.client.memfd(0x4000)
    const file = { ioas_id: ioas, flags: 7, fd: memfd, length: 0x3000n }
    world.client.ioctl(fd, IOMMU_IOAS_MAP_FILE, { ...file, iova: 0x10000n })
    const child = world.client.fork()
    child.process.credentials = { uid: 1001, gid: 1001, capabilities: new Set() }
    child.process.limits = { ...child.process.limits, memlock: 2 * 4096 }
    const call = (): number => change(child)
    expect(errnoOf(call)).toBe('ENOMEM')
    expect([counted(), counted(child)]).toEqual([
      { pinned: 3, mm: 0, user: 3 },
      { pinned: 0, mm: 0, user: 0 },
    ])
    child.process.limits = { ...child.process.limits, memlock: LIMIT * 4096 }
    call()
    expect([counted(), counted(child)]).toEqual([
      { pinned: 0, mm: 0, user: 0 },
      { pinned: 3, mm: 0, user: 3 },
    ])
    world.audit()
    device.unbind()
    expect(counted(child)).toEqual({ pinned: 0, mm: 0, user: 0 })
    child.exit()
  })
  test('is refused while an address of the program is mapped', () => {
    expect(change()).toBe(8)
    const ioas = world.ioas(fd)
    world.map(fd, ioas, 0n, 4096, 0x1000n)
    expect(errnoOf(() => change())).toBe('EINVAL')
    expect(errnoOf(() => world.client.ioctl(fd, IOMMU_IOAS_CHANGE_PROCESS, { __reserved: 1 }))).toBe('EOPNOTSUPP')
  })
})

test('pins outlive the program that made them, and are counted back when the last file goes', () => {
  drop()
  const ioas = world.ioas(fd)
  const device = world.bind(fd, 'a')
  device.attach(ioas)
  world.map(fd, ioas, world.memory(2), 8192, 0x10000n)
  const { user } = world.client.process
  world.client.exit()
  expect([world.frames.pinned, user.locked.pages]).toEqual([2, 2])
  world.audit()
  device.unbind()
  expect([world.frames.pinned, user.locked.pages]).toEqual([0, 0])
})
