import { type AddressSpace, type TrappedWindow, UserFrames } from '@ioasis/core'
import { expect, test } from 'vitest'
import { ListDomain, vfioWorld } from '../world.test-kit.ts'
import { Mapping } from './mapping.ts'
import { MappingOwner } from './owner.ts'

const RW = { read: true, write: true }

function program(memlock = Infinity) {
  const world = vfioWorld()
  const vmm = world.spawn({ capabilities: [], limits: { memlock } })
  return { vmm, frames: world.host.get(UserFrames), space: vmm.process.addressSpace }
}
const charged = ({ locked }: AddressSpace): number => locked.pages

test('memory is pinned and charged until it is unpinned', () => {
  const { vmm, frames, space } = program()
  const mapping = new Mapping(
    { iova: 0n, size: 0x3000n, vaddr: vmm.mmap({ bytes: 0x3000 }) },
    RW,
    new MappingOwner(vmm.caller),
  )
  mapping.pin(vmm.caller)
  expect([frames.pinned, charged(space), mapping.charged]).toEqual([3, 3, 3])
  mapping.unpin()
  expect([frames.pinned, charged(space), mapping.pinned]).toEqual([0, 0, false])
})
test('a hole, a page without the right and a limit are refused, and nothing stays pinned', () => {
  const { vmm, frames, space } = program(0x1000)
  const uva = vmm.mmap({ bytes: 0x2000 })
  const pin = (size: bigint, vaddr: bigint): void =>
    new Mapping({ iova: 0n, size, vaddr }, RW, new MappingOwner(vmm.caller)).pin(vmm.caller)
  expect(() => pin(0x2000n, uva)).toThrow('ENOMEM')
  expect(() => pin(0x1000n, vmm.mmap({ bytes: 4096, write: false }))).toThrow('EFAULT')
  vmm.munmap(uva + 0x1000n, 0x1000)
  expect(() => pin(0x2000n, uva)).toThrow('EFAULT')
  expect([frames.pinned, charged(space)]).toEqual([0, 0])
})
test('a mapped BAR is mapped where it lies, neither pinned nor charged; one that was taken away is EFAULT', () => {
  const { vmm, frames, space } = program()
  let hpa: number | undefined = 0xfe00_0000
  const window: TrappedWindow = {
    bytes: 0x2000,
    load: () => 0n,
    store: () => true,
    get hpa() {
      return hpa
    },
    onRevoke: () => () => undefined,
  }
  const uva = space.mmap({ bytes: 0x2000, window, shared: true })
  const mapping = new Mapping({ iova: 0x1000n, size: 0x2000n, vaddr: uva }, RW, new MappingOwner(vmm.caller))
  mapping.pin(vmm.caller)
  const domain = new ListDomain(false)
  mapping.mapTo(domain)
  expect(domain.maps.get(0x1000n)?.prot).toEqual({ ...RW, mmio: true })
  expect([mapping.kept, frames.pinned, charged(space)]).toEqual([
    [{ source: 'bar', hpa: 0xfe00_0000, bytes: 0x2000n }],
    0,
    0,
  ])
  hpa = undefined
  expect(() =>
    new Mapping({ iova: 0n, size: 0x1000n, vaddr: uva }, RW, new MappingOwner(vmm.caller)).pin(vmm.caller),
  ).toThrow('EFAULT')
})
test('moving to another process moves the charge', () => {
  const world = vfioWorld()
  const { vmm } = world
  const mapping = new Mapping(
    { iova: 0n, size: 0x1000n, vaddr: vmm.mmap({ bytes: 0x1000 }) },
    RW,
    new MappingOwner(vmm.caller),
  )
  mapping.pin(vmm.caller)
  const other = world.spawn()
  mapping.moveTo(other.caller, 0x5000n)
  expect([charged(vmm.process.addressSpace), charged(other.process.addressSpace), mapping.vaddr]).toEqual([
    0,
    1,
    0x5000n,
  ])
})
