import { expect, test } from 'vitest'
import { vfioWorld } from '../world.test-kit.ts'
import { Type1Backend } from './backend.ts'

const RW = { read: true, write: true }
const W = { write: true }

function opened() {
  const world = vfioWorld()
  for (const target of ['00:01.0', 'mediated']) world.add(target)
  const { vmm } = world
  const [physical, emulated] = world.vfio.groups as [(typeof world.vfio.groups)[0], (typeof world.vfio.groups)[0]]
  physical.iommu?.claim(world, false)
  const type1 = new Type1Backend(4096).open(vmm.caller, 3)
  type1.attach(emulated, vmm.caller)
  type1.pins.register(() => type1.pins.unpin(0x10000n, 16))
  type1.map(vmm.caller, { iova: 0x10000n, size: 0x10000n, vaddr: vmm.mmap({ bytes: 0x10000 }) }, RW)
  const data = vmm.mmap({ bytes: 4096 })
  const report = (): string => {
    const mapping = type1.mappings.all[0]
    if (!mapping) throw new Error('nothing is mapped')
    type1.dirty.reportAndClear(mapping, { caller: vmm.caller, data, base: 0x10000n })
    return Array.from(vmm.peek(data, 2), (byte) => byte.toString(2).padStart(8, '0')).join(' ')
  }
  return { ...world, type1, physical, emulated, report }
}

test('pages that are held count as written as long as they are; pages copied to, once', () => {
  const { type1, emulated, report, vmm } = opened()
  type1.pins.pin(emulated, 0x10000n, 1, W)
  type1.dirty.start()
  expect(report()).toBe('00000001 00000000')
  type1.pins.pin(emulated, 0x12000n, 1, W)
  type1.pins.copy(vmm.caller, 0x17ffen, new Uint8Array(4), W)
  expect(report()).toBe('10000101 00000001')
  type1.pins.unpin(0x12000n, 1)
  expect(report()).toBe('00000101 00000000')
  expect(report()).toBe('00000001 00000000')
})
test('beside a group with an IOMMU all counts as written, also once more when it has gone', () => {
  const { type1, physical, report, vmm } = opened()
  type1.dirty.start()
  expect(report()).toBe('00000000 00000000')
  type1.attach(physical, vmm.caller)
  expect([report(), report()]).toEqual(['11111111 11111111', '11111111 11111111'])
  type1.detach(physical)
  expect([report(), report()]).toEqual(['11111111 11111111', '00000000 00000000'])
})
test('starting twice changes nothing; stopping forgets', () => {
  const { type1, emulated, report } = opened()
  type1.dirty.start()
  type1.pins.pin(emulated, 0x10000n, 1, W)
  type1.pins.unpin(0x10000n, 1)
  type1.dirty.start()
  expect(report()).toBe('00000001 00000000')
  type1.dirty.stop()
  expect([type1.dirty.on, type1.mappings.all[0]?.dirty]).toEqual([false, undefined])
})
test('a mapping of too many pages cannot be tracked', () => {
  const { type1, vmm } = opened()
  const huge = { iova: 1n << 50n, size: 1n << 43n, vaddr: 0n }
  type1.map(vmm.caller, huge, RW)
  expect(() => type1.dirty.start()).toThrow('EINVAL')
  expect(type1.dirty.on).toBe(false)
  type1.unmap({ ...huge, all: false, invalidateVaddr: false })
  type1.dirty.start()
  expect(() => type1.map(vmm.caller, huge, RW)).toThrow('EINVAL')
  expect(type1.mappings.count).toBe(1)
})
