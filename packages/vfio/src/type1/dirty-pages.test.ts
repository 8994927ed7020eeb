import { expect, test } from 'vitest'
import { vfioWorld } from '../world.test-kit.ts'
import { DirtyBits } from './dirty-bits.ts'
import { checkBitmap, writeBitmap } from './dirty-pages.ts'

const bitmap = (size: bigint, pgsize = 0x1000n) => ({ pgsize, size, data: 0n })

test('a bitmap has one bit for each page, in whole words', () => {
  checkBitmap(bitmap(8n), 0x4_0000n)
  expect(() => checkBitmap(bitmap(8n), 0x4_1000n)).toThrow('EINVAL')
  expect(() => checkBitmap(bitmap(0n), 0x1000n)).toThrow('EINVAL')
  expect(() => checkBitmap(bitmap(8n), 0x800n)).toThrow('EINVAL')
  expect(() => checkBitmap(bitmap(0x1000_0001n), 0x1000n)).toThrow('EINVAL')
  expect(() => checkBitmap({ ...bitmap(8n), data: (1n << 47n) - 4096n }, 0x1000n)).toThrow('EINVAL')
})
test('what the user has in the first word stays; what is shifted beyond the pages is told again', () => {
  const { vmm } = vfioWorld()
  const dirty = new DirtyBits(2)
  dirty.setAll()
  const data = vmm.put(Uint8Array.of(0b1000_0101, 0, 0, 0, 0, 0, 0, 0))
  writeBitmap(vmm.caller, data, 3n, dirty)
  expect(vmm.peek(data, 2)).toEqual(Uint8Array.of(0b1001_1101, 0))
  dirty.clear()
  vmm.poke(data, new Uint8Array(8))
  writeBitmap(vmm.caller, data, 0n, dirty)
  expect(vmm.peek(data, 2)).toEqual(Uint8Array.of(0b1001_1100, 0))
})
test('a bitmap that cannot be read leaves the bits shifted', () => {
  const { vmm } = vfioWorld()
  const dirty = new DirtyBits(2)
  dirty.set(0)
  expect(() => writeBitmap(vmm.caller, 0n, 3n, dirty)).toThrow('EFAULT')
  expect([0, 1, 2, 3, 4].filter((i) => dirty.has(i))).toEqual([3])
})
