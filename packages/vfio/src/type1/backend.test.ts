import { expect, test } from 'vitest'
import { vfioWorld } from '../world.test-kit.ts'
import { Type1Backend } from './backend.ts'
import type { Type1 } from './type1.ts'
import type { ListDomain } from '../world.test-kit.ts'

const RW = { read: true, write: true }

function opened(v2 = true) {
  const world = vfioWorld()
  for (const target of ['00:01.0', '00:02.0', 'mediated']) world.add(target)
  const groups = world.vfio.groups
  for (const group of groups) group.iommu?.claim(world, false)
  const backend = new Type1Backend(4096)
  const type1: Type1 = backend.open(world.vmm.caller, v2 ? 3 : 1)
  const [first, second, emulated] = groups as [(typeof groups)[0], (typeof groups)[0], (typeof groups)[0]]
  const map = (iova: bigint, size = 0x1000n): void =>
    type1.map(world.vmm.caller, { iova, size, vaddr: world.vmm.mmap({ bytes: Number(size) }) }, RW)
  const unmap = (iova: bigint, size: bigint): bigint => type1.unmap({ iova, size, all: false, invalidateVaddr: false })
  const domain = (i = 0): ListDomain => type1.domains.all[i]?.domain as ListDomain
  const attach = (member: typeof first | undefined): void => member && type1.attach(member, world.vmm.caller)
  return { ...world, backend, type1, attach, first, second, emulated, map, unmap, domain }
}

test('what is mapped reaches the domain, and leaves it with the unmap', () => {
  const { attach, first, map, unmap, domain, vmm } = opened()
  attach(first)
  map(0x1000n)
  expect([...domain().maps.keys()]).toEqual([0x1000n])
  expect(unmap(0x1000n, 0x1000n)).toBe(0x1000n)
  expect([domain().maps.size, vmm.process.addressSpace.locked.pages]).toEqual([0, 0])
})
test('overlaps, the interrupt window and what the domain cannot hold are refused', () => {
  const { attach, first, map } = opened()
  attach(first)
  map(0x1000n, 0x2000n)
  expect(() => map(0x2000n)).toThrow('EEXIST')
  expect(() => map(0xfee0_0000n)).toThrow('EINVAL')
  expect(() => map(0x1_0000_0000n)).toThrow('EINVAL')
})
test('version 2 cuts no mapping', () => {
  const { attach, first, map, unmap } = opened()
  attach(first)
  map(0x1000n, 0x2000n)
  map(0x3000n)
  expect(() => unmap(0x2000n, 0x2000n)).toThrow('EINVAL')
  expect(() => unmap(0x1000n, 0x1000n)).toThrow('EINVAL')
  expect([unmap(0n, 0x10000n), unmap(0n, 0x10000n)]).toEqual([0x3000n, 0n])
})
test('version 1 takes a whole mapping by its beginning, and nothing by its middle', () => {
  const { type1, attach, first, map, unmap } = opened(false)
  attach(first)
  map(0x1000n, 0x2000n)
  expect([unmap(0x2000n, 0x1000n), unmap(0x1000n, 0x1000n), type1.mappings.count]).toEqual([0n, 0x2000n, 0])
})
test('groups behind equal IOMMUs share a domain; the last one takes the mappings along', () => {
  const { type1, attach, first, second, map, domain, vmm } = opened()
  attach(first)
  map(0x1000n)
  attach(second)
  expect(type1.domains.all.length).toBe(1)
  const shared = domain()
  type1.detach(first)
  expect([shared.maps.size, shared.freed]).toEqual([1, false])
  type1.detach(second)
  expect([shared.maps.size, shared.freed, type1.mappings.count, vmm.process.addressSpace.locked.pages]).toEqual([
    0,
    true,
    0,
    0,
  ])
})
test('with emulated devices alone nothing is pinned, nothing limits iovas, and memory may not move', () => {
  const { type1, attach, emulated, map, vmm } = opened()
  attach(emulated)
  map(0xfee0_0000n)
  expect([vmm.process.addressSpace.locked.pages, type1.domains.valid]).toEqual([0, undefined])
  expect([type1.checkExtension(10), type1.checkExtension(4)]).toEqual([0, 1])
  expect(() => type1.mayInvalidate(true)).toThrow('EBUSY')
})
test('a group whose reserved region is mapped already cannot join', () => {
  const { type1, attach, emulated, first, map } = opened()
  attach(emulated)
  map(0xfee0_0000n)
  expect(() => attach(first)).toThrow('EINVAL')
  expect([type1.domains.all.length, first.iommu?.domain?.type]).toEqual([0, 'blocked'])
})
test('closing gives everything back', () => {
  const { backend, type1, attach, first, map, vmm } = opened()
  attach(first)
  map(0x1000n)
  expect(backend.containers.size).toBe(1)
  type1.detach(first)
  type1.close()
  expect([backend.containers.size, vmm.process.addressSpace.locked.pages]).toEqual([0, 0])
})
