import { UserFrames } from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { type ListDomain, vfioWorld } from '../world.test-kit.ts'
import { Type1Backend } from './backend.ts'

const RW = { read: true, write: true }
const R = { write: false }
const W = { write: true }

function opened(type = 3) {
  const world = vfioWorld()
  for (const target of ['00:01.0', 'mediated']) world.add(target)
  const { vmm, host } = world
  const [physical, emulated] = world.vfio.groups as [(typeof world.vfio.groups)[0], (typeof world.vfio.groups)[0]]
  physical.iommu?.claim(world, false)
  const type1 = new Type1Backend(4096).open(vmm.caller, type)
  type1.attach(emulated, vmm.caller)
  const vaddr = vmm.mmap({ bytes: 0x4000 })
  type1.map(vmm.caller, { iova: 0x10000n, size: 0x4000n, vaddr }, RW)
  const told: string[] = []
  const register = (): (() => void) =>
    type1.pins.register((first, bytes) => {
      told.push(`${first}+${bytes}`)
      type1.pins.unpin(0x10000n, 4)
    })
  const pin = (iova: bigint, pages = 1, how = W): Float64Array => type1.pins.pin(emulated, iova, pages, how)
  const counts = (): readonly number[] => [host.get(UserFrames).pinned, vmm.process.addressSpace.locked.pages]
  return { ...world, type1, vaddr, physical, emulated, told, register, pin, counts }
}

describe('single pages', () => {
  test('are held and charged once, however often they are asked for', () => {
    const { type1, register, pin, counts } = opened()
    register()
    const [first] = pin(0x11000n, 2)
    expect([pin(0x11abcn)[0], counts()]).toEqual([first, [2, 2]])
    type1.pins.unpin(0x11000n, 2)
    expect(counts()).toEqual([1, 1])
    type1.pins.unpin(0x11000n, 2)
    expect(counts()).toEqual([0, 0])
  })
  test.each([
    ['before a device is there that lets go of them', false, 0x10000n, 1, 'EINVAL'],
    ['where nothing is mapped', true, 0x13000n, 2, 'EINVAL'],
    ['beyond the end of all addresses', true, 0xffff_ffff_ffff_f000n, 2, 'EOVERFLOW'],
  ])('are refused %s, and none is held', (_what, registered, iova, pages, errno) => {
    const { register, pin, counts } = opened()
    if (registered) register()
    expect(() => pin(iova, pages)).toThrow(errno)
    expect(counts()).toEqual([0, 0])
  })
  test('are refused without the right, under version 1, while addresses change, and of a program that ended', () => {
    const { type1, register, pin, vmm, vaddr } = opened()
    register()
    type1.map(vmm.caller, { iova: 0n, size: 0x1000n, vaddr }, { read: true, write: false })
    expect(() => pin(0n)).toThrow('EPERM')
    const old = opened(1)
    old.register()
    expect(() => old.pin(0x10000n)).toThrow('EACCES')
    type1.unmap({ iova: 0n, size: 0x1000n, all: false, invalidateVaddr: true })
    expect(() => pin(0x10000n)).toThrow('EBUSY')
    expect(() => type1.pins.copy(vmm.caller, 0x10000n, new Uint8Array(4), R)).toThrow('EBUSY')
    const ended = opened()
    ended.register()
    ended.vmm.process.exit()
    expect(() => ended.pin(0x10000n)).toThrow('ENODEV')
  })
  test('beyond the limit are ENOMEM', () => {
    const { type1, register, emulated, spawn, counts } = opened()
    register()
    const poor = spawn({ capabilities: [], limits: { memlock: 0x1000 } })
    type1.map(poor.caller, { iova: 0x20000n, size: 0x2000n, vaddr: poor.mmap({ bytes: 0x2000 }) }, RW)
    expect(() => type1.pins.pin(emulated, 0x20000n, 2, W)).toThrow('ENOMEM')
    expect([counts()[0], poor.process.addressSpace.locked.pages]).toEqual([0, 0])
  })
  test('are let go of before their mapping goes', () => {
    const { type1, register, pin, told, counts } = opened()
    register()
    pin(0x10000n, 2)
    expect(type1.unmap({ iova: 0n, size: 0n, all: true, invalidateVaddr: false })).toBe(0x4000n)
    expect([told, counts()]).toEqual([['65536+16384'], [0, 0]])
  })
  test('that a device keeps break its promise', () => {
    const { type1, pin } = opened()
    type1.pins.register(() => undefined)
    pin(0x10000n)
    expect(() => type1.unmap({ iova: 0n, size: 0n, all: true, invalidateVaddr: false })).toThrow('keeps pages')
  })
})

describe('beside an IOMMU', () => {
  test('a group that joins has all of it pinned, and each page charged once', () => {
    const { type1, register, pin, physical, vmm, counts } = opened()
    register()
    pin(0x10000n, 2)
    type1.attach(physical, vmm.caller)
    const domain = type1.domains.all[0]?.domain as ListDomain
    expect([counts(), [...domain.maps.keys()]]).toEqual([[6, 4], [0x10000n]])
    pin(0x12000n)
    expect(counts()).toEqual([7, 4])
    type1.detach(physical)
    expect([counts(), type1.mappings.count]).toEqual([[3, 3], 1])
  })
  test('a group that joins from another program has that one’s memory, charged to who mapped it', () => {
    const { type1, physical, spawn, vmm, counts } = opened()
    const other = spawn()
    expect(() => type1.attach(physical, other.caller)).toThrow('EFAULT')
    expect(counts()).toEqual([0, 0])
    other.mmap({ bytes: 0x4000, uva: type1.mappings.all[0]?.vaddr ?? 0n })
    type1.attach(physical, other.caller)
    expect([counts(), other.process.addressSpace.locked.pages]).toEqual([[4, 4], 0])
    type1.detach(physical)
    expect(vmm.process.addressSpace.locked.pages).toBe(0)
  })
})

describe('copies', () => {
  test('go through mappings that touch, and stop where none is', () => {
    const { type1, vmm, vaddr } = opened()
    const { caller } = vmm
    type1.map(caller, { iova: 0x14000n, size: 0x1000n, vaddr }, RW)
    type1.pins.copy(caller, 0x13ffen, Uint8Array.of(1, 2, 3, 4), W)
    expect([...vmm.peek(vaddr + 0x3ffen, 2), ...vmm.peek(vaddr, 2)]).toEqual([1, 2, 3, 4])
    const into = new Uint8Array(4)
    type1.pins.copy(caller, 0x13ffen, into, R)
    expect([...into]).toEqual([1, 2, 3, 4])
    expect(() => type1.pins.copy(caller, 0x14ffen, new Uint8Array(4), R)).toThrow('EINVAL')
  })
  test('are for the program that mapped the memory', () => {
    const { type1, spawn } = opened()
    expect(() => type1.pins.copy(spawn().caller, 0x10000n, new Uint8Array(4), R)).toThrow('EFAULT')
  })
})
