import {
  VFIO_IOMMU_SPAPR_REGISTER_MEMORY,
  VFIO_IOMMU_SPAPR_TCE_CREATE,
  VFIO_IOMMU_SPAPR_TCE_GET_INFO,
  VFIO_IOMMU_SPAPR_TCE_REMOVE,
  VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY,
} from '@ioasis/uapi'
import { UserFrames } from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { BUFFER, containerWorld, type ContainerWorld } from './container-world.test-kit.ts'

function ready(bytes = 0x10_0000n): ContainerWorld {
  const world = containerWorld()
  expect(world.answer(VFIO_IOMMU_SPAPR_REGISTER_MEMORY, { vaddr: BUFFER, size: bytes })).toBe(0)
  return world
}
const created = ({ vmm, fd }: ContainerWorld, values: object): bigint | string => {
  const { errno, out } = vmm.attempt(fd, VFIO_IOMMU_SPAPR_TCE_CREATE, values)
  return errno ?? out.start_addr
}

describe('GET_INFO', () => {
  test('tells of dynamic windows where there is room for it', () => {
    const { vmm, fd } = containerWorld()
    const long = vmm.ioctl(fd, VFIO_IOMMU_SPAPR_TCE_GET_INFO, {})
    expect(long).toMatchObject({ flags: 1, dma32_window_start: 0, dma32_window_size: 0x4000_0000 })
    expect(long.ddw).toMatchObject({ pgsizes: 0x1211000n, max_dynamic_windows_supported: 2, levels: 5 })
    const untouched = { pgsizes: 7n, max_dynamic_windows_supported: 7, levels: 7 }
    const short = vmm.attempt(fd, VFIO_IOMMU_SPAPR_TCE_GET_INFO, { argsz: 31, ddw: untouched })
    expect([short.errno, short.out.flags]).toEqual([undefined, 1])
    expect(short.out.ddw).toMatchObject(untouched)
    expect(vmm.attempt(fd, VFIO_IOMMU_SPAPR_TCE_GET_INFO, { argsz: 15 }).errno).toBe('EINVAL')
  })
  test('version 1 has none', () => {
    const { vmm, fd } = containerWorld({ v2: false })
    const { flags, ddw } = vmm.ioctl(fd, VFIO_IOMMU_SPAPR_TCE_GET_INFO, {})
    expect([flags, ddw.pgsizes, ddw.levels]).toEqual([0, 0n, 0])
  })
})

describe('mapping', () => {
  test.each<[string, object, number | string]>([
    ['an unknown flag', { flags: 4 }, 'EINVAL'],
    ['no direction', { flags: 0 }, 'EINVAL'],
    ['a short struct', { argsz: 31 }, 'EINVAL'],
    ['an iova outside every window', { iova: 0x4000_0000n }, 'ENXIO'],
    ['a part of a page', { size: 0x800n }, 'EINVAL'],
    ['a user address inside a page', { vaddr: BUFFER + 1n }, 'EINVAL'],
    ['memory that is not registered', { vaddr: BUFFER + 0x10_0000n }, 'EINVAL'],
    ['an iova inside a page, with a bare 1', { iova: 0x10n }, 1],
    ['pages behind the window, as Linux does not', { iova: 0x3fff_f000n, size: 0x2000n }, 'EINVAL'],
    ['nothing, which succeeds', { size: 0n }, 0],
  ])('%s', (_what, values, answer) => {
    const world = ready()
    expect([world.map(values), world.group.windows.present[0] ? world.window().made.size : 0]).toEqual([answer, 0])
  })
  test('the preset window is made by the first map, even one that is refused for its flags', () => {
    const world = ready()
    expect([world.map({ flags: 0 }), world.window().bytes, world.locked()]).toEqual(['EINVAL', 0x4000_0000n, 768])
  })
  test('entries lead to the registered pages, and are killed once', () => {
    const world = ready()
    expect(world.map({ iova: 0x5000n, size: 0x3000n, flags: 1 })).toBe(0)
    const { made, killed, addresses } = world.window()
    expect([...made.values()].map(({ access }) => access)).toEqual([1, 1, 1])
    expect([killed, addresses.get(6)]).toEqual([[[5, 3]], Number(BUFFER) + 0x1000])
  })
  test('a failure clears what was made before it, and older entries there are lost', () => {
    const world = ready(0x3000n)
    world.map({ iova: 0x2000n })
    expect(world.map({ vaddr: BUFFER + 0x1000n, size: 0x3000n, iova: 0x1000n })).toBe('EINVAL')
    expect(world.window().made.size).toBe(0)
  })
  test('a table that cannot grow', () => {
    const world = ready()
    world.map({ flags: 0 })
    world.window().full = 2
    expect([world.map({ size: 0x4000n }), world.window().made.size]).toEqual(['ENOMEM', 0])
  })
  test('a page of the window must lie in one page of memory', () => {
    const world = ready()
    expect(created(world, { page_shift: 16, window_size: 0x100_0000n, levels: 1 })).toBe(1n << 59n)
    expect(world.map({ iova: 1n << 59n, size: 0x10000n })).toBe('EINVAL')
  })
  test('a huge page is one entry of a large window', () => {
    const world = containerWorld()
    const huge = 0x200_0000_0000n
    world.vmm.mmap({ uva: huge, bytes: 0x40_0000, huge: 0x20_0000 })
    expect(world.answer(VFIO_IOMMU_SPAPR_REGISTER_MEMORY, { vaddr: huge, size: 0x40_0000n })).toBe(0)
    created(world, { page_shift: 16, window_size: 0x100_0000n, levels: 1 })
    expect(world.map({ vaddr: huge + 0x10000n, iova: 1n << 59n, size: 0x20000n })).toBe(0)
    const hpas = [...world.window(1).made.values()].map(({ hpa }) => hpa)
    expect((hpas[1] ?? 0) - (hpas[0] ?? 0)).toBe(0x10000)
  })
})

describe('unmapping', () => {
  test.each<[string, object, number | string]>([
    ['a flag', { flags: 1 }, 'EINVAL'],
    ['a part of a page', { size: 0x800n }, 'EINVAL'],
    ['an iova outside every window', { iova: 0x4000_0000n }, 'ENXIO'],
    ['an iova inside a page', { iova: 0x10n }, 1],
    ['pages behind the window', { iova: 0x3fff_f000n, size: 0x2000n }, 1],
    ['entries that are empty', { iova: 0x8000n, size: 0x10000n }, 0],
  ])('%s', (_what, values, answer) => {
    const world = ready()
    world.map()
    expect([world.unmap(values), world.window().made.size]).toEqual([answer, 1])
  })
  test('a part of what was mapped goes', () => {
    const world = ready()
    world.map({ size: 0x4000n })
    expect([world.unmap({ iova: 0x1000n, size: 0x2000n }), [...world.window().made.keys()]]).toEqual([0, [0, 3]])
  })
})

describe('windows', () => {
  test('the preset one takes the first slot, one more fits', () => {
    const world = ready()
    const shape = { page_shift: 12, window_size: 0x100_0000n, levels: 1 }
    expect([created(world, shape), created(world, shape)]).toEqual([1n << 59n, 'ENOSPC'])
  })
  test('the preset one can be declined before it is made', () => {
    const world = ready()
    const remove = (start_addr: bigint): unknown => world.answer(VFIO_IOMMU_SPAPR_TCE_REMOVE, { start_addr })
    expect([remove(0n), remove(0n), world.map()]).toEqual([0, 'EINVAL', 'ENXIO'])
    expect(created(world, { page_shift: 16, window_size: 0x100_0000n, levels: 1 })).toBe(0n)
    expect([remove(0x12345n), world.locked()]).toEqual([0, 256])
  })
  test.each([
    ['flags', { flags: 1 }],
    ['a page size that is not offered', { page_shift: 13 }],
    ['a page size beyond 64 bits', { page_shift: 140 }],
    ['a shape without a table', { levels: 0 }],
  ])('%s', (_what, values) => {
    const world = ready()
    expect(created(world, { page_shift: 12, window_size: 0x100_0000n, levels: 1, ...values })).toBe('EINVAL')
  })
  test('a table that cannot be made stays charged, and the audit knows it as a leak of Linux', () => {
    const world = ready()
    world.map({ flags: 0 })
    const before = world.locked()
    world.group.windows.refuse = { create: 'ENOMEM' }
    expect(created(world, { page_shift: 12, window_size: 0x100_0000n, levels: 1 })).toBe('ENOMEM')
    expect([world.locked() - before, world.backend.ledger.lost(world.vmm.process.addressSpace)]).toEqual([8, 8])
  })
  test('a window that a group refuses is in none, and not charged', () => {
    const world = ready()
    world.map({ flags: 0 })
    const before = world.locked()
    world.group.windows.refuse = { set: 'EPERM' }
    expect(created(world, { page_shift: 12, window_size: 0x100_0000n, levels: 1 })).toBe('EPERM')
    expect([world.locked(), world.group.windows.present[1]]).toEqual([before, undefined])
  })
  test('removal clears, takes out, and gives the charge back', () => {
    const world = ready()
    world.map()
    const window = world.window()
    expect(world.answer(VFIO_IOMMU_SPAPR_TCE_REMOVE, { start_addr: 0x1000n })).toBe(0)
    expect([window.made.size, window.holders, world.locked()]).toEqual([0, 0, 256])
    expect(world.answer(VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY, { vaddr: BUFFER, size: 0x10_0000n })).toBe(0)
    expect([world.locked(), world.host.get(UserFrames).pinned]).toEqual([0, 0])
  })
})

describe('a CPU with pages of 64 KiB', () => {
  test('the preset window still has pages of 4 KiB, which lead into the middle of a page', () => {
    const world = containerWorld({ pageSize: 65536 })
    expect(world.answer(VFIO_IOMMU_SPAPR_REGISTER_MEMORY, { vaddr: BUFFER, size: 0x10000n })).toBe(0)
    expect(world.map({ vaddr: BUFFER + 0x3000n, size: 0x1000n })).toBe(0)
    expect((world.window().made.get(0)?.hpa ?? 0) % 65536).toBe(0x3000)
    expect(world.answer(VFIO_IOMMU_SPAPR_REGISTER_MEMORY, { vaddr: BUFFER, size: 0x1000n })).toBe('EINVAL')
  })
})
