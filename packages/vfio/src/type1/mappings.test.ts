import { expect, test } from 'vitest'
import { vfioWorld } from '../world.test-kit.ts'
import { Mapping } from './mapping.ts'
import { MappingOwner } from './owner.ts'
import { Mappings } from './mappings.ts'

const { vmm } = vfioWorld()
const at = (iova: bigint, size: bigint): Mapping =>
  new Mapping({ iova, size, vaddr: 0n }, { read: true, write: true }, new MappingOwner(vmm.caller))

test('kept in order, found by any address in them', () => {
  const mappings = new Mappings()
  const [low, high] = [at(0x1000n, 0x2000n), at(0x8000n, 0x1000n)]
  mappings.add(high)
  mappings.add(low)
  expect([mappings.all, mappings.count]).toEqual([[low, high], 2])
  expect([mappings.find(0x2fffn, 0x2fffn), mappings.find(0x3000n, 0x7fffn)]).toEqual([low, undefined])
  expect(mappings.within(0x2000n, 0x8000n)).toEqual([low, high])
  mappings.remove(low)
  expect(mappings.within(0n, 0xffffn)).toEqual([high])
})
