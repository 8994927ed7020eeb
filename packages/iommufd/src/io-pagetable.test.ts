import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { IOMMU_DESTROY, IOMMU_IOAS_COPY, IOMMU_OPTION, OPTION, OPTION_OP, U64_MAX } from './uapi.ts'
import { errnoOf, type PaperDomain, World } from './world.test-kit.ts'

let world: World
let fd: number
let ioas: number
const start = (options: ConstructorParameters<typeof World>[0] = {}): void => {
  world = new World(options)
  fd = world.open()
  ioas = world.ioas(fd)
}
beforeEach(() => start())
afterEach(() => world.end())
const domain = (i = 0): PaperDomain => world.domains[i] as PaperDomain

describe('pages', () => {
  test('are pinned when a domain comes, once for all domains, and let go with the last one', () => {
    world.map(fd, ioas, world.memory(16), 16 * 4096, 0x100000n)
    expect(world.frames.pinned).toBe(0)
    const device = world.bind(fd, 'a')
    const first = world.hwpt(fd, device.id, ioas)
    expect([world.frames.pinned, domain().pages.size]).toEqual([16, 16])
    const second = world.hwpt(fd, device.id, ioas)
    expect([world.frames.pinned, domain(1).pages.size]).toEqual([16, 16])
    world.audit()
    for (const id of [first, second]) world.client.ioctl(fd, IOMMU_DESTROY, { id })
    expect(world.frames.pinned).toBe(0)
    device.unbind()
  })
  test('are mapped in all domains at once, and taken out of all before they are let go', () => {
    const device = world.bind(fd, 'a')
    world.hwpt(fd, device.id, ioas)
    world.hwpt(fd, device.id, ioas)
    world.map(fd, ioas, world.memory(4), 4 * 4096, 0x100000n)
    expect([domain().pages.size, domain(1).pages.size, world.frames.pinned]).toEqual([4, 4, 4])
    world.audit()
    expect(world.unmap(fd, ioas, 0x100000n, 4 * 4096)).toBe(0x4000n)
    expect([domain().pages.size, domain(1).pages.size, world.frames.pinned]).toEqual([0, 0, 0])
    device.unbind()
  })
  test('that a COPY shares are pinned and charged once, and stay with the last mapping', () => {
    const device = world.bind(fd, 'a')
    device.attach(ioas)
    world.map(fd, ioas, world.memory(4), 4 * 4096, 0x100000n)
    const copy = { flags: 7, src_ioas_id: ioas, dst_ioas_id: ioas, src_iova: 0x101000n, dst_iova: 0x200000n }
    world.client.ioctl(fd, IOMMU_IOAS_COPY, { ...copy, length: 0x2000n })
    expect(world.frames.pinned).toBe(4)
    expect(domain().lookup(0x200000n)).toBe(domain().lookup(0x101000n))
    world.unmap(fd, ioas, 0x100000n, 4 * 4096)
    expect(world.frames.pinned).toBe(2)
    world.audit()
    world.unmap(fd, ioas, 0x200000n, 0x2000)
    expect(world.frames.pinned).toBe(0)
    device.unbind()
  })
  test('of memory that is unmapped by its program stay with the device', () => {
    const device = world.bind(fd, 'a')
    device.attach(ioas)
    const memory = world.memory(1)
    world.map(fd, ioas, memory, 4096, 0x100000n)
    world.client.munmap(memory, 4096)
    world.audit()
    expect([world.frames.pinned, domain().pages.size]).toEqual([1, 1])
    device.unbind()
  })
})

describe('a domain that joins', () => {
  test.each([
    ['a byte that is not aligned', 0x100800n, 0x800, 'EADDRINUSE'],
    ['an iova beyond the aperture', 1n << 50n, 0x1000, 'EADDRINUSE'],
    ['the interrupt window', 0xfee01000n, 0x1000, 'EADDRINUSE'],
  ] as const)('is refused by a mapping at %s', (_, iova, bytes, errno) => {
    world.map(fd, ioas, world.memory(1), bytes, iova)
    const device = world.bind(fd, 'a')
    expect(errnoOf(() => device.attach(ioas))).toBe(errno)
    expect(world.ranges(fd, ioas)).toEqual({ ranges: [[0n, U64_MAX]], alignment: 1n })
    device.unbind()
  })
  test('narrows the iovas to its aperture, and the device takes the interrupt window out', () => {
    const device = world.bind(fd, 'a')
    world.hwpt(fd, device.id, ioas)
    expect(world.ranges(fd, ioas)).toEqual({ ranges: [[0n, 0xffffffffffffn]], alignment: 4096n })
    device.attach(ioas)
    expect(world.ranges(fd, ioas).ranges).toEqual([
      [0n, 0xfedfffffn],
      [0xfef00000n, 0xffffffffffffn],
    ])
    expect(errnoOf(() => world.map(fd, ioas, 0n, 0x1000, 0xfee00000n))).toBe('EINVAL')
    expect(errnoOf(() => world.map(fd, ioas, 0n, 0x800, 0x1000n))).toBe('EINVAL')
    expect(errnoOf(() => world.map(fd, ioas, 0n, 0x1000, 0x1800n))).toBe('EINVAL')
    expect(errnoOf(() => world.map(fd, ioas, 0x800n, 0x1000, 0x1000n))).toBe('EINVAL')
    device.unbind()
  })
  test('finds a hole in memory: nothing is left of the attempt', () => {
    world.map(fd, ioas, world.memory(4), 4 * 4096, 0x100000n)
    world.map(fd, ioas, world.memory(1, { read: false, write: false }), 4096, 0x200000n)
    const device = world.bind(fd, 'a')
    expect(errnoOf(() => device.attach(ioas))).toBe('EFAULT')
    expect(world.leavesNothing()).toMatchObject({ pins: 0, domains: 0, charged: 0 })
    world.unmap(fd, ioas, 0x200000n, 4096)
    device.attach(ioas)
    expect(world.frames.pinned).toBe(4)
    device.unbind()
  })
  test('that cannot hold the n-th mapping leaves the others as they were', () => {
    for (const iova of [0x100000n, 0x200000n, 0x300000n]) world.map(fd, ioas, world.memory(2), 8192, iova)
    const device = world.bind(fd, 'a')
    device.attach(ioas)
    for (const n of [1, 2, 3]) {
      world.failMapAfter = n
      expect(errnoOf(() => world.hwpt(fd, device.id, ioas))).toBe('ENOMEM')
      world.audit()
    }
    expect([domain().pages.size, world.frames.pinned]).toEqual([6, 6])
    device.unbind()
  })
})

describe('a mapping with domains', () => {
  test('that one of them cannot hold is in none', () => {
    const device = world.bind(fd, 'a')
    device.attach(ioas)
    world.hwpt(fd, device.id, ioas)
    domain(1).failMapAfter = 1
    expect(errnoOf(() => world.map(fd, ioas, world.memory(2), 8192, 0x100000n))).toBe('ENOMEM')
    expect([domain().pages.size, domain(1).pages.size, world.frames.pinned]).toEqual([0, 0, 0])
    expect(world.map(fd, ioas, world.memory(2), 8192, 0x100000n)).toBe(0x100000n)
    device.unbind()
  })
  test('of memory with a hole pins nothing', () => {
    const device = world.bind(fd, 'a')
    device.attach(ioas)
    const memory = world.memory(4)
    world.client.munmap(memory + 0x3000n, 4096)
    expect(errnoOf(() => world.map(fd, ioas, memory, 4 * 4096, 0x100000n))).toBe('EFAULT')
    expect(world.frames.pinned).toBe(0)
    expect(errnoOf(() => world.unmap(fd, ioas, 0x100000n, 4 * 4096))).toBe('ENOENT')
    device.unbind()
  })
  test('without the right to write needs memory that can be read only', () => {
    const device = world.bind(fd, 'a')
    device.attach(ioas)
    const memory = world.memory(1, { write: false })
    expect(errnoOf(() => world.map(fd, ioas, memory, 4096, 0x100000n))).toBe('EFAULT')
    world.map(fd, ioas, memory, 4096, 0x100000n, 5)
    expect(domain().pages.get(0x100000n)?.prot).toEqual({ read: true, write: false })
    device.unbind()
  })
})

const option = (op: number, val64 = 0n): bigint =>
  world.client.ioctl(fd, IOMMU_OPTION, { option_id: OPTION.HUGE_PAGES, op, object_id: ioas, val64 }).val64

describe('large pages', () => {
  test('switched off, memory is mapped page by page', () => {
    option(OPTION_OP.SET, 0n)
    const device = world.bind(fd, 'a')
    device.attach(ioas)
    world.map(fd, ioas, world.client.mmap({ bytes: 2 << 20, huge: 2 << 20 }), 2 << 20, 0x200000n)
    expect(new Set([...domain().pages.values()].map((page) => page.run))).toEqual(new Set([4096]))
    device.unbind()
  })
  test('cannot be switched off while a domain holds pages, nor while an area is smaller than a page', () => {
    const device = world.bind(fd, 'a')
    device.attach(ioas)
    world.map(fd, ioas, world.memory(1), 4096, 0x100000n)
    expect(errnoOf(() => option(OPTION_OP.SET, 0n))).toBe('EINVAL')
    expect(option(OPTION_OP.GET)).toBe(1n)
    device.unbind()
    world.unmap(fd, ioas, 0n, U64_MAX)
    world.map(fd, ioas, 0n, 0x800, 0n)
    expect(errnoOf(() => option(OPTION_OP.SET, 0n))).toBe('EADDRINUSE')
    expect(option(OPTION_OP.GET)).toBe(1n)
  })
})

test('a kernel with pages of 64 KiB maps parts of them through an IOMMU of 4 KiB', () => {
  world.client.exit()
  world.host.close()
  start({ kernel: { pageSize: 65536 } })
  const device = world.bind(fd, 'a')
  device.attach(ioas)
  const memory = world.memory(2)
  world.map(fd, ioas, memory + 0xf000n, 0x2000, 0x100000n)
  expect([world.frames.pinned, domain().pages.size]).toEqual([2, 2])
  world.audit()
  const copy = { flags: 7, src_ioas_id: ioas, dst_ioas_id: ioas, src_iova: 0x101000n, dst_iova: 0x200000n }
  world.client.ioctl(fd, IOMMU_IOAS_COPY, { ...copy, length: 0x1000n })
  world.unmap(fd, ioas, 0x100000n, 0x2000)
  expect(world.frames.pinned).toBe(1)
  device.unbind()
})
