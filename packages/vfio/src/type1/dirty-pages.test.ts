import { expect, test } from 'vitest'
import { vfioWorld } from '../world.test-kit.ts'
import { checkBitmap, reportMapping } from './dirty-pages.ts'
import { Mapping } from './mapping.ts'

const bitmap = (size: bigint, pgsize = 0x1000n) => ({ pgsize, size, data: 0n })

test('a bitmap has one bit for each page, in whole words', () => {
  checkBitmap(bitmap(8n), 0x4_0000n)
  expect(() => checkBitmap(bitmap(8n), 0x4_1000n)).toThrow('EINVAL')
  expect(() => checkBitmap(bitmap(0n), 0x1000n)).toThrow('EINVAL')
  expect(() => checkBitmap(bitmap(8n), 0x800n)).toThrow('EINVAL')
  expect(() => checkBitmap(bitmap(0x1000_0001n), 0x1000n)).toThrow('EINVAL')
})
test("bits before a mapping's own stay as the user had them", () => {
  const { vmm } = vfioWorld()
  const mapping = new Mapping(
    { iova: 0x3000n, size: 0x2000n, vaddr: vmm.mmap({ bytes: 0x2000 }) },
    { read: true, write: true },
    vmm.caller,
  )
  mapping.pin(vmm.caller)
  const data = vmm.put(Uint8Array.of(0b1001_0101, 0, 0, 0, 0, 0, 0, 0))
  reportMapping(vmm.caller, data, mapping, 0n, 0x1000n)
  expect(vmm.peek(data, 2)).toEqual(Uint8Array.of(0b0001_1101, 0))
})
