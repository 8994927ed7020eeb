import {
  VFIO_CHECK_EXTENSION,
  VFIO_EXTENSION,
  VFIO_GET_API_VERSION,
  VFIO_IOMMU_GET_INFO,
  VFIO_IOMMU_MAP_DMA,
  VFIO_IOMMU_UNMAP_DMA,
  VFIO_SET_IOMMU,
} from '@ioasis/uapi'
import { readCapabilities } from '@ioasis/core'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { IOMMU_VFIO_IOAS, U64_MAX, VFIO_IOAS_OP } from './uapi.ts'
import { errnoOf, World } from './world.test-kit.ts'

let world: World
let fd: number
const start = (options: ConstructorParameters<typeof World>[0] = {}): void => {
  world = new World(options)
  fd = world.open()
}
beforeEach(() => start())
afterEach(() => world.end())
const TYPE1 = BigInt(VFIO_EXTENSION.VFIO_TYPE1_IOMMU)
const TYPE1v2 = BigInt(VFIO_EXTENSION.VFIO_TYPE1v2_IOMMU)
const NOIOMMU = BigInt(VFIO_EXTENSION.VFIO_NOIOMMU_IOMMU)
const DMA_CC = BigInt(VFIO_EXTENSION.VFIO_DMA_CC_IOMMU)
const extension = (n: bigint): number => world.client.ioctl(fd, VFIO_CHECK_EXTENSION, n)
const setIommu = (n: bigint): number => world.client.ioctl(fd, VFIO_SET_IOMMU, n)
const join = (noIommu = false): (() => void) => world.spaces(fd).container!.join({ noIommu })
const map = (iova: bigint, size: bigint, vaddr = 0n, flags = 3): object =>
  world.client.ioctl(fd, VFIO_IOMMU_MAP_DMA, { flags, vaddr, iova, size })
const unmap = (iova: bigint, size: bigint, flags = 0): ReturnType<typeof attemptUnmap> =>
  attemptUnmap(iova, size, flags)
const attemptUnmap = (iova: bigint, size: bigint, flags: number): readonly [string | undefined, bigint] => {
  const { errno, out } = world.client.attempt(fd, VFIO_IOMMU_UNMAP_DMA, { flags, iova, size })
  return [errno, out.size]
}

describe('without an address space', () => {
  test('container calls answer what they can', () => {
    expect([world.client.ioctl(fd, VFIO_GET_API_VERSION), extension(TYPE1), extension(TYPE1v2), extension(5n)]).toEqual(
      [0, 1, 1, 0],
    )
    expect([errnoOf(() => extension(DMA_CC)), errnoOf(() => setIommu(TYPE1v2)), errnoOf(() => map(0n, 4096n))]).toEqual(
      ['ENODEV', 'ENODEV', 'ENODEV'],
    )
    expect(errnoOf(() => world.spaces(fd).container?.ioas())).toBe('ENODEV')
  })
  test('a group that joins makes one, which stays', () => {
    const leave = join()
    expect(world.spaces(fd).container?.ioas()).toBe(1)
    expect([setIommu(TYPE1v2), setIommu(TYPE1), extension(DMA_CC)]).toEqual([0, 0, 1])
    leave()
    expect(world.spaces(fd).container?.ioas()).toBe(1)
  })
  test('a no-IOMMU group and an IOMMU group do not meet', () => {
    const leave = join(true)
    expect([extension(TYPE1), extension(NOIOMMU), setIommu(NOIOMMU)]).toEqual([0, 1, 0])
    expect([errnoOf(() => join()), errnoOf(() => setIommu(TYPE1v2))]).toEqual(['EINVAL', 'EINVAL'])
    world.client.process.credentials = { uid: 1, gid: 1, capabilities: new Set() }
    expect(errnoOf(() => setIommu(NOIOMMU))).toBe('EPERM')
    leave()
  })
  test('a group keeps the context after its file is closed', () => {
    const leave = join()
    const { container } = world.spaces(fd)
    world.client.close(fd)
    expect(container?.ioas()).toBe(1)
    leave()
  })
})

describe('type1', () => {
  beforeEach(() => join()())

  test('maps without any right, and byte by byte, until a device comes', () => {
    map(0x1001n, 1n, 0n, 0)
    expect(errnoOf(() => map(0x1001n, 1n))).toBe('EEXIST')
    expect(errnoOf(() => map(0x2000n, 4096n, 0n, 4))).toBe('EINVAL')
    expect(unmap(0n, U64_MAX)).toEqual([undefined, 1n])
  })
  test('version 2 does not cut mappings, and tells 0 when it fails', () => {
    setIommu(TYPE1v2)
    map(0x1000n, 0x4000n)
    expect([unmap(0x2000n, 0x1000n), unmap(0x1000n, 0n), unmap(0x1000n, U64_MAX)]).toEqual([
      ['ENOENT', 0n],
      ['EINVAL', 0n],
      ['EOVERFLOW', 0n],
    ])
    expect([unmap(0x9000n, 0x1000n), unmap(0n, 0n, 2)]).toEqual([
      [undefined, 0n],
      [undefined, 0x4000n],
    ])
    expect(unmap(0x1000n, 0n, 2)[0]).toBe('EINVAL')
  })
  test('version 1 cuts them, page by page, also while a device uses them', () => {
    setIommu(TYPE1)
    const device = world.bind(fd, 'a')
    device.attach(1)
    map(0x1000n, 0x4000n, world.memory(4))
    expect(unmap(0x2000n, 0x1000n)).toEqual([undefined, 0x1000n])
    expect([world.frames.pinned, world.domains[0]?.pages.size]).toEqual([3, 3])
    world.audit()
    expect(errnoOf(() => map(0x2000n, 0x1000n, world.memory(1)))).toBeUndefined()
    expect(unmap(0x2800n, 0x1000n)[0]).toBe('EINVAL')
    device.unbind()
  })
  test('coherency is what the domains enforce', () => {
    const device = world.bind(fd, 'a')
    device.attach(1)
    expect(extension(DMA_CC)).toBe(0)
    device.unbind()
  })
  test.each([
    [16, 0, []],
    [24, 0, []],
    // The first capability points to where the second would stand.
    [40, 0, [3, 0]],
    [88, 24, [3, 1]],
  ])('info in %i bytes: the chain stands when all of it fits', (argsz, offset, ids) => {
    const device = world.bind(fd, 'a')
    device.attach(1)
    const { out, bytes } = world.client.attempt(fd, VFIO_IOMMU_GET_INFO, { argsz }, new Uint8Array(64))
    expect([out.argsz, out.flags, out.iova_pgsizes]).toEqual([88, 3, 0x1000n])
    expect([
      argsz < 24 ? 0 : out.cap_offset,
      readCapabilities(bytes, ids.length > 0 ? 24 : 0).map((c) => c.id),
    ]).toEqual([offset, ids])
    device.unbind()
  })
})

test('IOMMU_VFIO_IOAS chooses, tells and forgets the address space', () => {
  const ask = (op: number, ioas_id = 0): number => world.client.ioctl(fd, IOMMU_VFIO_IOAS, { op, ioas_id }).ioas_id
  expect(errnoOf(() => ask(VFIO_IOAS_OP.GET))).toBe('ENODEV')
  const ioas = world.ioas(fd)
  ask(VFIO_IOAS_OP.SET, ioas)
  expect(ask(VFIO_IOAS_OP.GET)).toBe(ioas)
  ask(VFIO_IOAS_OP.CLEAR)
  expect(errnoOf(() => ask(VFIO_IOAS_OP.GET))).toBe('ENODEV')
  expect([errnoOf(() => ask(VFIO_IOAS_OP.SET, 99)), errnoOf(() => ask(3))]).toEqual(['ENOENT', 'EOPNOTSUPP'])
})

test('where iommufd serves the container, /dev/vfio/vfio is one more context, which counts pins by address space', () => {
  world.client.exit()
  world.host.close()
  start({ kernel: { container: 'iommufd' } })
  const container = world.client.open('/dev/vfio/vfio')
  expect(world.client.ioctl(container, VFIO_GET_API_VERSION)).toBe(0)
  world.client.process.credentials = { uid: 1000, gid: 1000, capabilities: new Set() }
  const leave = world.spaces(container).container!.join({ noIommu: false })
  world.client.ioctl(container, VFIO_IOMMU_MAP_DMA, { flags: 3, vaddr: world.memory(1), iova: 0n, size: 4096n })
  const access = world.access(container)
  access.attach(1)
  access.pin(0n, 4096n, { write: true })
  expect(world.client.process.addressSpace.locked.pages).toBe(1)
  access.unpin(0n, 4096n)
  access.unbind()
  leave()
})
