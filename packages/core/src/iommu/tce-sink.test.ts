import { expect, test } from 'vitest'
import { HostMemory } from '../memory/host-memory.ts'
import { makeCpus } from '../memory/memory-cpu.ts'
import { PageAllocator } from '../memory/page-allocator.ts'
import { AddressSpace } from '../process/address-space.ts'
import { Frames } from '../process/frames.ts'
import { UapiError } from '../errno.ts'
import { type DmaWindow, TCE_ACCESS, type TceAccess } from './driver.ts'
import { RegisteredMemory, type RegisteredRegion } from './registered-memory.ts'
import { TceSink } from './tce-sink.ts'

const AT = 0x100_0000
const { NONE, READ, BOTH } = TCE_ACCESS

function setUp() {
  const memory = new HostMemory()
  memory.addRam(0, 2 ** 24)
  const [cpu] = makeCpus(memory, undefined, 1)
  const space = new AddressSpace(new Frames(new PageAllocator(memory, cpu), cpu, 4096))
  space.mmap({ uva: BigInt(AT), bytes: 0x10000 })
  const registered = RegisteredMemory.of(space)
  const region = registered.create(BigInt(AT), 4, Infinity) as RegisteredRegion
  const entries = new Map<number, readonly [hpa: number, access: TceAccess]>()
  const addresses = new Map<number, number>()
  const state = { full: false }
  const window = {
    pageShift: 12,
    oldHpa: 0,
    exchange(index: number, hpa: number, access: TceAccess): TceAccess {
      if (state.full && access !== NONE) throw new UapiError('ENOMEM', 'exchange')
      const [old, was] = entries.get(index) ?? [0, NONE]
      if (access === NONE) entries.delete(index)
      else entries.set(index, [hpa, access])
      window.oldHpa = old
      return was
    },
    userAddress: (index: number) => addresses.get(index) ?? 0,
    setUserAddress: (index: number, uva: number) => void addresses.set(index, uva),
  }
  const sink = new TceSink(window as unknown as DmaWindow, registered)
  return { sink, region, entries, addresses, registered, state }
}

test('an entry counts for the region that it leads into, until it goes', () => {
  const { sink, region, entries, addresses } = setUp()
  expect([sink.map(3, AT + 0x1000, BOTH), region.mapped, addresses.get(3)]).toEqual([true, 2, AT + 0x1000])
  expect(entries.get(3)).toEqual([region.hpas[1], BOTH])
  expect([sink.unmap(3), region.mapped, addresses.get(3), entries.size]).toEqual([true, 1, 0, 0])
  expect(sink.unmap(3)).toBe(true)
})
test('one in the place of another: the old one no longer counts', () => {
  const { sink, region } = setUp()
  sink.map(0, AT, BOTH)
  expect([sink.map(0, AT + 0x1000, READ), region.mapped]).toEqual([true, 2])
})
test('memory that is not registered is refused, and nothing changes', () => {
  const { sink, entries } = setUp()
  expect([sink.accepts(AT + 0x4000), sink.map(0, AT + 0x4000, BOTH), entries.size]).toEqual([false, false, 0])
  expect(sink.accepts(AT)).toBe(true)
})
test('a table that cannot grow: the count goes back', () => {
  const { sink, region, state } = setUp()
  state.full = true
  expect([sink.map(0, AT, BOTH), region.mapped]).toEqual([false, 1])
})
test('an entry whose region nobody registered any more stays', () => {
  const { sink, region, registered, entries } = setUp()
  sink.map(0, AT, BOTH)
  registered.removeMapping(region)
  registered.put(region)
  expect([sink.unmap(0), entries.get(0)]).toEqual([false, [region.hpas[0], BOTH]])
  sink.drop(0)
  expect(entries.size).toBe(0)
})
