import {
  VFIO_IOMMU_DISABLE,
  VFIO_IOMMU_ENABLE,
  VFIO_IOMMU_SPAPR_REGISTER_MEMORY,
  VFIO_IOMMU_SPAPR_TCE_CREATE,
  VFIO_IOMMU_SPAPR_TCE_GET_INFO,
  VFIO_IOMMU_SPAPR_TCE_REMOVE,
  VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY,
} from '@ioasis/uapi'
import { RegisteredMemory, UserFrames as FRAMES } from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { BUFFER, containerWorld, type ContainerWorld } from './container-world.test-kit.ts'

const PAGES = { vaddr: BUFFER, size: 0x4000n }
const registered = (world: ContainerWorld = containerWorld()): ContainerWorld => {
  expect(world.answer(VFIO_IOMMU_SPAPR_REGISTER_MEMORY, PAGES)).toBe(0)
  return world
}

describe('groups', () => {
  test('version 1 has one group, version 2 several of one platform', () => {
    const one = containerWorld({ v2: false })
    expect(() => one.session.attach(one.another())).toThrow('EBUSY')
    const two = containerWorld()
    expect(() => two.session.attach(two.another({}))).toThrow('EPERM')
    expect(() => two.session.attach(two.group)).toThrow('EBUSY')
    two.session.attach(two.another())
    expect(two.session.groups).toHaveLength(2)
  })
  test('version 2 needs windows that can be made; an emulated device and a group without windows are refused', () => {
    const world = containerWorld()
    const fixed = world.another()
    fixed.windows.limits = { ...fixed.windows.limits, count: 0 }
    expect(() => world.session.attach(fixed)).toThrow('EINVAL')
    expect(() => world.session.attach({ id: 9, iommu: undefined })).toThrow('EINVAL')
    expect(() => world.session.attach({ id: 9, iommu: { devices: [{}] } as never })).toThrow('ENODEV')
  })
  test('who comes later gets the windows that are there, or none of them', () => {
    const world = registered()
    world.map()
    const [second, third] = [world.another(), world.another()]
    world.session.attach(second)
    expect(second.windows.present[0]).toBe(world.window())
    third.windows.refuse = { set: 'EPERM' }
    expect(() => world.session.attach(third)).toThrow('EPERM')
    expect(third.windows.asked).toEqual(['set 0', 'unset 0', 'unset 1'])
  })
  test('who leaves takes the mappings of all along, and the windows stay', () => {
    const world = registered()
    world.map()
    const second = world.another()
    world.session.attach(second)
    world.session.detach(second)
    expect([world.window().made.size, second.windows.present]).toEqual([0, [undefined, undefined]])
    expect([world.map(), world.window().made.size]).toEqual([0, 1])
  })
})

describe('one address space', () => {
  test('a child may ask what there is, and nothing once the container has an owner', () => {
    const world = containerWorld()
    const child = world.vmm.fork()
    const info = (): string => child.attempt(world.fd, VFIO_IOMMU_SPAPR_TCE_GET_INFO, {}).errno ?? 'ok'
    expect(info()).toBe('ok')
    registered(world)
    expect([info(), child.attempt(world.fd, { ...VFIO_IOMMU_SPAPR_TCE_GET_INFO, number: 0x3bff }, {}).errno]).toEqual([
      'EPERM',
      'EPERM',
    ])
  })
  test('whoever tries first owns it, even when the call fails', () => {
    const world = containerWorld()
    const child = world.vmm.fork()
    expect(child.attempt(world.fd, VFIO_IOMMU_SPAPR_TCE_REMOVE, { flags: 1 }).errno).toBe('EINVAL')
    expect(world.answer(VFIO_IOMMU_SPAPR_TCE_GET_INFO)).toBe('EPERM')
  })
})

describe('version 1', () => {
  test('ENABLE charges the preset window once; DISABLE gives it back and leaves mappings', () => {
    const world = containerWorld({ v2: false })
    expect(world.map()).toBe('EPERM')
    expect([world.answer(VFIO_IOMMU_ENABLE), world.answer(VFIO_IOMMU_ENABLE)]).toEqual([0, 'EBUSY'])
    expect(world.locked()).toBe(0x40000)
    expect([world.map(), world.map()]).toEqual([0, 0])
    expect(world.host.get(FRAMES).pinned).toBe(1)
    expect([world.answer(VFIO_IOMMU_DISABLE), world.answer(VFIO_IOMMU_DISABLE), world.map()]).toEqual([0, 0, 'EPERM'])
    // The table's own charge stays.
    expect([world.locked(), world.window().made.size]).toEqual([512, 1])
  })
  test('ENABLE keeps to the limit of a process without CAP_IPC_LOCK', () => {
    const world = containerWorld({ v2: false })
    world.vmm.process.credentials = { uid: 0, gid: 0, capabilities: new Set() }
    expect([world.answer(VFIO_IOMMU_ENABLE), world.locked()]).toEqual(['ENOMEM', 0])
  })
  test('registering and windows are calls of version 2, enabling one of version 1', () => {
    const v1 = containerWorld({ v2: false })
    const calls = [VFIO_IOMMU_SPAPR_REGISTER_MEMORY, VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY] as const
    expect(calls.map((call) => v1.answer(call, PAGES))).toEqual(['ENOTTY', 'ENOTTY'])
    expect([v1.answer(VFIO_IOMMU_SPAPR_TCE_CREATE), v1.answer(VFIO_IOMMU_SPAPR_TCE_REMOVE)]).toEqual([
      'ENOTTY',
      'ENOTTY',
    ])
    const v2 = containerWorld()
    expect([v2.answer(VFIO_IOMMU_ENABLE), v2.answer(VFIO_IOMMU_DISABLE)]).toEqual(['ENOTTY', 'ENOTTY'])
  })
})

describe('registered memory', () => {
  test('a range is registered once in a container, and shared with others of the process without a new charge', () => {
    const world = registered()
    expect([world.locked(), world.answer(VFIO_IOMMU_SPAPR_REGISTER_MEMORY, PAGES)]).toEqual([4, 'EBUSY'])
    const other = world.backend.open(world.vmm.caller, 7)
    expect([other.register(world.vmm.caller, BUFFER, 4), world.locked()]).toEqual([0, 4])
    other.close()
    expect(world.locked()).toBe(4)
  })
  test('overlaps are refused after charge and pins, which go back', () => {
    const world = registered()
    const over = { vaddr: BUFFER + 0x2000n, size: 0x4000n }
    expect(world.answer(VFIO_IOMMU_SPAPR_REGISTER_MEMORY, over)).toBe('EINVAL')
    expect([world.locked(), world.host.get(FRAMES).pinned]).toEqual([4, 4])
  })
  test('a hole: EFAULT at the first page, the pages before it later on', () => {
    const world = containerWorld()
    world.vmm.munmap(BUFFER + 0x3000n, 0x1000)
    const at = (vaddr: bigint): unknown => world.answer(VFIO_IOMMU_SPAPR_REGISTER_MEMORY, { vaddr, size: 0x4000n })
    expect([at(BUFFER), at(BUFFER + 0x3000n), world.locked()]).toEqual([3, 'EFAULT', 0])
    expect(world.map()).toBe('EPERM')
  })
  test('a region that is mapped is given up with success, and stays with nobody until it is adopted', () => {
    const world = registered()
    world.map()
    const undo = (): unknown => world.answer(VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY, PAGES)
    expect([undo(), undo(), world.locked()]).toEqual([0, 'ENOENT', 516])
    expect(world.map()).toBe(0)
    expect([world.answer(VFIO_IOMMU_SPAPR_REGISTER_MEMORY, PAGES), world.locked()]).toEqual([0, 516])
    const part = { vaddr: BUFFER, size: 0x1000n }
    expect(world.answer(VFIO_IOMMU_SPAPR_REGISTER_MEMORY, part)).toBe('EINVAL')
    expect(world.host.get(FRAMES).pinned).toBe(4)
  })
  test('nothing at all cannot be registered', () => {
    expect(containerWorld().answer(VFIO_IOMMU_SPAPR_REGISTER_MEMORY, { vaddr: BUFFER })).toBe('ENOMEM')
  })
  test('the end of the container gives back what it has, in any order', () => {
    const world = registered()
    world.map()
    world.session.detach(world.group)
    world.session.close()
    expect([world.locked(), world.host.get(FRAMES).pinned]).toEqual([0, 0])
    expect([RegisteredMemory.of(world.vmm.process.addressSpace).regions, world.backend.containers.size]).toEqual([
      [],
      0,
    ])
  })
})
