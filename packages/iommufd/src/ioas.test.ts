import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  IOMMU_IOAS_ALLOW_IOVAS,
  IOMMU_IOAS_COPY,
  IOMMU_IOAS_IOVA_RANGES,
  IOMMU_IOAS_MAP,
  IOMMU_IOAS_MAP_FILE,
  IOMMU_IOAS_UNMAP,
  U64_MAX,
} from './uapi.ts'
import { errnoOf, World } from './world.test-kit.ts'

let world: World
let fd: number
let ioas: number
beforeEach(() => {
  world = new World()
  fd = world.open()
  ioas = world.ioas(fd)
})
afterEach(() => {
  world.client.close(fd)
  world.end()
})
const RW = 6
const FIXED = 7

describe('IOMMU_IOAS_MAP', () => {
  /** Each request is wrong in this way and in all those that follow; the first one is told. */
  const wrong = { flags: 0x10, __reserved: 1, length: U64_MAX, iova: U64_MAX, ioas_id: 99, user_va: 0n }
  test.each([
    ['an unknown flag', {}, 'EOPNOTSUPP'],
    ['a reserved member', { flags: 1 }, 'EOPNOTSUPP'],
    ['the last length', { flags: 1, __reserved: 0 }, 'EOVERFLOW'],
    ['the last iova', { flags: 1, __reserved: 0, length: 0n }, 'EOVERFLOW'],
    ['neither reading nor writing', { flags: 1, __reserved: 0, length: 0n, iova: 1n }, 'EINVAL'],
    ['an unknown IOAS', { flags: FIXED, __reserved: 0, length: 0n, iova: 1n }, 'ENOENT'],
    ['no bytes', { flags: FIXED, __reserved: 0, length: 0n, iova: 1n, ioas_id: 1 }, 'EINVAL'],
  ] as const)('%s comes before what follows', (_, right, errno) => {
    expect(errnoOf(() => world.client.ioctl(fd, IOMMU_IOAS_MAP, { ...wrong, ...right }))).toBe(errno)
  })
  test('memory and iova must end below the end of all addresses', () => {
    expect(errnoOf(() => world.map(fd, ioas, 0xfffffffffffff000n, 0x1000, 0n))).toBe('EOVERFLOW')
    expect(errnoOf(() => world.map(fd, ioas, 0n, 0x2000, 0xfffffffffffff000n))).toBe('EOVERFLOW')
    expect(world.map(fd, ioas, 0n, 0x1000, 0xfffffffffffff000n)).toBe(0xfffffffffffff000n)
  })
  test('accepts single bytes and memory that is not there, as long as nobody needs the pages', () => {
    world.map(fd, ioas, 0xffff888000000123n, 1, 0x55n)
    expect(errnoOf(() => world.map(fd, ioas, 0n, 1, 0x55n))).toBe('EEXIST')
    expect(world.map(fd, ioas, 0n, 1, 0x56n)).toBe(0x56n)
    expect(world.frames.pinned).toBe(0)
  })
  test('chooses an iova, writes it back, and ignores the one that was given', () => {
    const { iova } = world.client.ioctl(fd, IOMMU_IOAS_MAP, {
      ioas_id: ioas,
      flags: RW,
      user_va: world.memory(1),
      length: 0x1000n,
      iova: 0x1234n,
    })
    expect(iova).toBe(0x1000n)
  })
  test('a result that cannot be written back leaves the mapping', () => {
    const { struct, number } = IOMMU_IOAS_MAP
    const at = world.memory(1)
    world.client.poke(
      at,
      struct!.make({ size: 40, flags: FIXED, ioas_id: ioas, user_va: 0n, length: 0x1000n, iova: 0x1000n }),
    )
    world.client.process.addressSpace.protect(at, 4096, { read: true, write: false })
    expect(errnoOf(() => world.client.ioctl(fd, number, at))).toBe('EFAULT')
    expect(world.unmap(fd, ioas, 0x1000n, 0x1000)).toBe(0x1000n)
  })
})

describe('IOMMU_IOAS_UNMAP', () => {
  test('everything at once always succeeds', () => {
    expect(world.unmap(fd, ioas, 0n, U64_MAX)).toBe(0n)
    world.map(fd, ioas, 0n, 0x1000, 0x1000n)
    world.map(fd, ioas, 0n, 0x1000, 0xfffffffffffff000n)
    expect(world.unmap(fd, ioas, 0n, U64_MAX)).toBe(0x2000n)
  })
  test('what lies before an area that is cut is gone all the same', () => {
    for (const iova of [0x1000n, 0x2000n, 0x3000n]) world.map(fd, ioas, 0n, 0x1000, iova)
    expect(errnoOf(() => world.unmap(fd, ioas, 0x1000n, 0x2800))).toBe('ENOENT')
    expect(errnoOf(() => world.unmap(fd, ioas, 0x1000n, 0x2000))).toBe('ENOENT')
    expect(world.unmap(fd, ioas, 0x3000n, 0x1000)).toBe(0x1000n)
  })
  test('refuses no bytes, overflow and empty ranges', () => {
    expect(errnoOf(() => world.unmap(fd, 99, 0n, 0))).toBe('ENOENT')
    expect(errnoOf(() => world.unmap(fd, ioas, 0n, 0))).toBe('EINVAL')
    expect(errnoOf(() => world.unmap(fd, ioas, U64_MAX, 1))).toBe('EOVERFLOW')
    expect(errnoOf(() => world.unmap(fd, ioas, 1n, U64_MAX))).toBe('EOVERFLOW')
    expect(errnoOf(() => world.unmap(fd, ioas, 0xfffffffffffff000n, 0x2000))).toBe('EOVERFLOW')
    expect(errnoOf(() => world.unmap(fd, ioas, 0x1000n, 0x1000))).toBe('ENOENT')
  })
  test('the length is how much was mapped, holes left out', () => {
    world.map(fd, ioas, 0n, 0x1000, 0x1000n)
    world.map(fd, ioas, 0n, 0x1000, 0x8000n)
    expect(world.unmap(fd, ioas, 0n, 0x10000)).toBe(0x2000n)
  })
})

const copy = (values: object): bigint =>
  world.client.ioctl(fd, IOMMU_IOAS_COPY, { dst_ioas_id: ioas, src_ioas_id: ioas, flags: FIXED, ...values }).dst_iova

describe('IOMMU_IOAS_COPY', () => {
  test('takes any part of what is mapped, across areas', () => {
    const memory = world.memory(4)
    world.map(fd, ioas, memory, 0x1000, 0x1000n)
    world.map(fd, ioas, memory, 0x1000, 0x2000n)
    expect(copy({ length: 0x1000n, src_iova: 0x1800n, dst_iova: 0x8000n })).toBe(0x8000n)
    expect(world.unmap(fd, ioas, 0x8000n, 0x1000)).toBe(0x1000n)
    expect(errnoOf(() => copy({ length: 0x1000n, src_iova: 0x2800n, dst_iova: 0x8000n }))).toBe('ENOENT')
  })
  test('looks at the source before the destination', () => {
    world.map(fd, ioas, 0n, 0x1000, 0x1000n)
    expect(errnoOf(() => copy({ length: 0n, dst_ioas_id: 99 }))).toBe('EINVAL')
    expect(errnoOf(() => copy({ length: 0x1000n, src_iova: 0x9000n, dst_ioas_id: 99 }))).toBe('ENOENT')
    expect(errnoOf(() => copy({ length: 0x1000n, src_iova: 0x1000n, dst_ioas_id: 99 }))).toBe('ENOENT')
    expect(errnoOf(() => copy({ length: 0x1000n, src_iova: 0x1000n, src_ioas_id: 99 }))).toBe('ENOENT')
    expect(errnoOf(() => copy({ length: 0x1000n, src_iova: 0x1000n, dst_iova: 0x1800n }))).toBe('EEXIST')
  })
  test('cannot add the right to write', () => {
    world.map(fd, ioas, world.memory(1), 0x1000, 0x1000n, 5)
    expect(errnoOf(() => copy({ length: 0x1000n, src_iova: 0x1000n, dst_iova: 0x8000n }))).toBe('EPERM')
    expect(copy({ length: 0x1000n, src_iova: 0x1000n, dst_iova: 0x8000n, flags: 5 })).toBe(0x8000n)
  })
  test('the first refusal of several areas leaves none of them', () => {
    world.map(fd, ioas, world.memory(1), 0x1000, 0x1000n)
    world.map(fd, ioas, world.memory(1), 0x1000, 0x2000n, 5)
    expect(errnoOf(() => copy({ length: 0x2000n, src_iova: 0x1000n, dst_iova: 0x8000n }))).toBe('EPERM')
    expect(errnoOf(() => world.unmap(fd, ioas, 0x8000n, 0x2000))).toBe('ENOENT')
  })
})

describe('IOMMU_IOAS_IOVA_RANGES and ALLOW_IOVAS', () => {
  test('an IOAS begins with all iovas and an alignment of one byte', () => {
    expect(world.ranges(fd, ioas)).toEqual({ ranges: [[0n, U64_MAX]], alignment: 1n })
  })
  test('too little room still tells how much there is', () => {
    const answer = world.client.attempt(fd, IOMMU_IOAS_IOVA_RANGES, { ioas_id: ioas })
    expect([answer.errno, answer.out.num_iovas, answer.out.out_iova_alignment]).toEqual(['EMSGSIZE', 1, 1n])
  })
  test.each([
    ['a range of one byte', [[5n, 5n]], 'EINVAL'],
    ['a range that ends before it begins', [[5n, 4n]], 'EINVAL'],
    [
      'ranges that overlap',
      [
        [0x1000n, 0x2000n],
        [0x1800n, 0x3000n],
      ],
      'EINVAL',
    ],
    [
      'ranges in no order',
      [
        [0x8000n, 0x9000n],
        [0x1000n, 0x2000n],
      ],
      undefined,
    ],
  ] as const)('%s', (_, ranges, errno) => {
    const bytes = new Uint8Array(16 * ranges.length)
    ranges.flat().forEach((value, i) => new DataView(bytes.buffer).setBigUint64(8 * i, value, true))
    const allow = { ioas_id: ioas, num_iovas: ranges.length, allowed_iovas: world.client.put(bytes) }
    expect(errnoOf(() => world.client.ioctl(fd, IOMMU_IOAS_ALLOW_IOVAS, allow))).toBe(errno)
  })
})

const mapFile = (values: object): bigint =>
  world.client.ioctl(fd, IOMMU_IOAS_MAP_FILE, { ioas_id: ioas, flags: FIXED, length: 0x1000n, ...values }).iova

describe('IOMMU_IOAS_MAP_FILE', () => {
  test('keeps the file open for as long as it is mapped', () => {
    const memfd = world.client.memfd(0x4000)
    const file = world.client.fds.open(memfd)
    mapFile({ fd: memfd, start: 0x1000n, iova: 0x1000n })
    world.client.close(memfd)
    expect(file.references).toBe(1)
    world.unmap(fd, ioas, 0x1000n, 0x1000)
    expect(file.references).toBe(0)
  })
  test('maps any kind of file while nobody needs its pages', () => {
    expect(mapFile({ fd: world.client.eventfd(), iova: 0x1000n })).toBe(0x1000n)
    expect(errnoOf(() => mapFile({ fd: 99, iova: 0x2000n }))).toBe('EBADF')
    expect(errnoOf(() => mapFile({ fd: 99, ioas_id: 99 }))).toBe('ENOENT')
    expect(errnoOf(() => mapFile({ fd: 99, length: 0n }))).toBe('EINVAL')
    expect(errnoOf(() => mapFile({ fd: 99, start: 0xfffffffffffff000n, length: 0x2000n }))).toBe('EOVERFLOW')
  })
  test.each([
    ['an event counter', (): number => world.client.eventfd(), 0n],
    ['a file that ends before', (): number => world.client.memfd(0x4000), 0x4000n],
  ])('%s cannot be attached to', (_, make, start) => {
    mapFile({ fd: make(), start, iova: 0x1000n, length: 0x1000n })
    const device = world.bind(fd, 'a')
    expect(errnoOf(() => device.attach(ioas))).toBe('EINVAL')
    device.unbind()
  })
})

test('UNMAP does not look at the alignment of what it is asked', () => {
  world.map(fd, ioas, 0n, 0x1000, 0x1000n)
  expect(world.client.ioctl(fd, IOMMU_IOAS_UNMAP, { ioas_id: ioas, iova: 0xfffn, length: 0x1002n }).length).toBe(
    0x1000n,
  )
})
