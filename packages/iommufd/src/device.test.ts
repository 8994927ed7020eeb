import { IommuGroups, Sysfs, type PagingDomain } from '@ioasis/core'
import { afterEach, describe, expect, test } from 'vitest'
import { IOMMU_DESTROY, U64_MAX } from './uapi.ts'
import { errnoOf, type PaperDomain, type PaperOptions, World } from './world.test-kit.ts'

let world: World
const start = (options: PaperOptions = {}): { fd: number; ioas: number } => {
  world = new World(options)
  const fd = world.open()
  return { fd, ioas: world.ioas(fd) }
}
afterEach(() => world.end())
const destroy = (fd: number, id: number): number => world.client.ioctl(fd, IOMMU_DESTROY, { id }).id

describe('bind', () => {
  test('takes the group, blocks its DMA, and gives it back', () => {
    const { fd } = start()
    const device = world.bind(fd, 'a')
    expect([device.id, world.paper('a').attached.type]).toEqual([2, 'blocked'])
    expect(errnoOf(() => destroy(fd, device.id))).toBe('EBUSY')
    device.unbind()
    expect([errnoOf(() => destroy(fd, device.id)), world.paper('a').attached.type]).toEqual(['ENOENT', 'identity'])
  })
  test.each([
    ['interrupts are not isolated', { isolatedMsi: false }, 'EPERM'],
    ['DMA is not coherent', { cacheCoherent: false }, 'EINVAL'],
  ] as const)('is refused where %s', (_, options, errno) => {
    const { fd } = start(options)
    expect(errnoOf(() => world.bind(fd, 'a'))).toBe(errno)
    expect(world.ioas(fd)).toBe(2)
  })
  test('takes a device whose interrupts are not isolated once root allows that', () => {
    const { fd } = start({ isolatedMsi: false })
    world.host.get(Sysfs).write('/sys/module/iommufd/parameters/allow_unsafe_interrupts', 'Y')
    const device = world.bind(fd, 'a')
    expect(device.id).toBe(2)
    device.unbind()
  })
  test('members of a group must all go to one context', () => {
    const { fd } = start()
    const other = world.open()
    const [c, d] = [world.bind(fd, 'c'), world.bind(fd, 'd')]
    expect(errnoOf(() => world.bind(other, 'd'))).toBe('EPERM')
    const group = world.host.get(IommuGroups).containing('00:03.0')
    expect([world.spaces(fd).owns(group), world.spaces(other).owns(group)]).toEqual([true, false])
    c.unbind()
    expect(errnoOf(() => world.bind(other, 'c'))).toBe('EPERM')
    d.unbind()
    world.bind(other, 'c').unbind()
  })
  test('keeps the context alive after its file is closed', () => {
    const { fd, ioas } = start()
    const device = world.bind(fd, 'a')
    world.client.close(fd)
    device.attach(ioas)
    expect(world.domains).toHaveLength(1)
    device.unbind()
  })
})

describe('attach to an IOAS', () => {
  test('makes an HWPT that other devices share and that goes with the last of them', () => {
    const { fd, ioas } = start()
    const [a, b] = [world.bind(fd, 'a'), world.bind(fd, 'b')]
    const hwpt = a.attach(ioas)
    expect([b.attach(ioas), a.attach(ioas), world.domains.length]).toEqual([hwpt, hwpt, 1])
    expect(errnoOf(() => destroy(fd, hwpt))).toBe('EBUSY')
    a.detach()
    a.detach()
    expect(errnoOf(() => destroy(fd, hwpt))).toBe('EBUSY')
    b.detach()
    expect([errnoOf(() => destroy(fd, hwpt)), world.domains[0]?.freed]).toEqual(['ENOENT', true])
    a.unbind()
    b.unbind()
  })
  test('makes another HWPT for a device that does not fit the first', () => {
    const { fd, ioas } = start({ choosy: ['00:02.0'] })
    const [a, b] = [world.bind(fd, 'a'), world.bind(fd, 'b')]
    const first = a.attach(ioas)
    const second = b.attach(ioas)
    expect([second === first, world.domains.length]).toEqual([false, 2])
    a.unbind()
    b.unbind()
  })
  test('never takes an HWPT that was made by hand', () => {
    const { fd, ioas } = start()
    const device = world.bind(fd, 'a')
    const made = world.hwpt(fd, device.id, ioas)
    expect(device.attach(ioas)).not.toBe(made)
    device.unbind()
  })
  test('moves a device whose old HWPT goes at once when it was automatic', () => {
    const { fd, ioas } = start()
    const other = world.ioas(fd)
    const device = world.bind(fd, 'a')
    world.map(fd, other, world.memory(1), 4096, 0x1000n)
    device.attach(ioas)
    const hwpt = device.attach(other)
    expect([world.domains[0]?.freed, world.paper('a').attached]).toEqual([true, world.domains[1]])
    expect(destroy(fd, ioas)).toBe(ioas)
    expect(errnoOf(() => destroy(fd, other))).toBe('EBUSY')
    expect(world.ranges(fd, other).ranges).toHaveLength(2)
    expect(device.attach(hwpt)).toBe(hwpt)
    device.unbind()
  })
  test.each([
    ['an id that is none', 99, 'ENOENT'],
    ['id 0', 0, 'ENOENT'],
    ['a device', 2, 'EINVAL'],
  ] as const)('is refused for %s', (_, id, errno) => {
    const { fd } = start()
    const device = world.bind(fd, 'a')
    expect(errnoOf(() => device.attach(id))).toBe(errno)
    device.unbind()
  })
  test('that fails leaves a device blocked and the IOAS as it was', () => {
    const { fd, ioas } = start()
    world.map(fd, ioas, 0n, 4096, 0x1000n)
    const device = world.bind(fd, 'a')
    expect(errnoOf(() => device.attach(ioas))).toBe('EFAULT')
    expect([world.paper('a').attached.type, world.ranges(fd, ioas).ranges]).toEqual(['blocked', [[0n, U64_MAX]]])
    device.unbind()
  })
  test('that fails to move a device leaves it where it was', () => {
    const { fd, ioas } = start()
    const other = world.ioas(fd)
    world.map(fd, other, world.memory(1), 4096, 0xfee00000n)
    const device = world.bind(fd, 'a')
    const hwpt = device.attach(ioas)
    expect(errnoOf(() => device.attach(other))).toBe('EADDRINUSE')
    expect([world.paper('a').attached, world.domains.filter((d) => !d.freed)]).toEqual([
      world.domains[0],
      [world.domains[0]],
    ])
    expect(world.ranges(fd, other).ranges).toEqual([[0n, U64_MAX]])
    expect(device.attach(ioas)).toBe(hwpt)
    device.unbind()
  })
  test('needs paging domains', () => {
    const { fd, ioas } = start({ paging: false })
    const device = world.bind(fd, 'a')
    expect(errnoOf(() => device.attach(ioas))).toBe('EOPNOTSUPP')
    device.unbind()
  })
})

describe('a group of two', () => {
  test('is attached with the first member, and detached with the last', () => {
    const { fd, ioas } = start()
    const [c, d] = [world.bind(fd, 'c'), world.bind(fd, 'd')]
    const hwpt = c.attach(ioas)
    const attached = (): readonly unknown[] => [world.paper('c').attached.type, world.paper('d').attached.type]
    expect(attached()).toEqual(['paging', 'paging'])
    expect(d.attach(ioas)).toBe(hwpt)
    c.detach()
    expect(attached()).toEqual(['paging', 'paging'])
    d.detach()
    expect(attached()).toEqual(['blocked', 'blocked'])
    c.unbind()
    d.unbind()
  })
  test('cannot be attached to two, but one member moves both', () => {
    const { fd, ioas } = start()
    const [c, d] = [world.bind(fd, 'c'), world.bind(fd, 'd')]
    const [first, second] = [world.hwpt(fd, c.id, ioas), world.hwpt(fd, c.id, ioas)]
    c.attach(first)
    expect(errnoOf(() => d.attach(second))).toBe('EINVAL')
    d.attach(first)
    c.attach(second)
    expect(world.paper('d').attached).toBe(world.domains[1])
    expect(destroy(fd, first)).toBe(first)
    expect(d.attach(second)).toBe(second)
    c.unbind()
    d.unbind()
  })
  test('brings reserved ranges for each member', () => {
    const { fd, ioas } = start()
    const [c, d] = [world.bind(fd, 'c'), world.bind(fd, 'd')]
    c.attach(ioas)
    d.attach(ioas)
    c.detach()
    expect(world.ranges(fd, ioas).ranges).toHaveLength(2)
    d.detach()
    expect(world.ranges(fd, ioas).ranges).toEqual([[0n, U64_MAX]])
    c.unbind()
    d.unbind()
  })
})

describe('PASIDs', () => {
  const PASID = 8
  test('need an HWPT made for them', () => {
    const { fd, ioas } = start({ pasidBits: 20 })
    const device = world.bind(fd, 'a')
    const [plain, fit] = [world.hwpt(fd, device.id, ioas), world.hwpt(fd, device.id, ioas, PASID)]
    expect(errnoOf(() => device.attach(plain, 5))).toBe('EINVAL')
    expect(errnoOf(() => device.attach(ioas, 5))).toBe('EINVAL')
    expect(device.attach(fit, 5)).toBe(fit)
    expect(world.paper('a').pasids.get(5)).toBe(world.domains.find((d) => d.users === 1))
    expect(errnoOf(() => device.attach(plain))).toBe('EINVAL')
    expect(device.attach(fit)).toBe(fit)
    device.detach(5)
    device.detach(5)
    expect(errnoOf(() => device.attach(fit, 0))).toBe('EBUSY')
    expect(errnoOf(() => device.attach(fit, 0x8000_0000))).toBe('ENOSPC')
    device.unbind()
  })
  test('move to another HWPT, and go when the device does', () => {
    const { fd, ioas } = start({ pasidBits: 20 })
    const device = world.bind(fd, 'a')
    const [one, two] = [world.hwpt(fd, device.id, ioas, PASID), world.hwpt(fd, device.id, ioas, PASID)]
    device.attach(one, 5)
    device.attach(two, 5)
    expect([(world.domains[0] as PaperDomain).users, (world.domains[1] as PaperDomain).users]).toEqual([0, 1])
    device.unbind()
    expect(world.paper('a').pasids.get(5)?.type).toBe('blocked')
  })
})

test('a domain that can enforce coherency does so before anything is mapped', () => {
  const { fd, ioas } = start({ enforcesCoherency: true })
  world.map(fd, ioas, world.memory(1), 4096, 0x1000n)
  const device = world.bind(fd, 'a')
  device.attach(ioas)
  const domain: PagingDomain | undefined = world.domains[0]
  expect(domain?.coherency?.enforced).toBe(true)
  device.unbind()
})
