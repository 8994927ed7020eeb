import { expect, test } from 'vitest'
import { Client } from '../file/client.ts'
import { createHost } from '../plugin/host.ts'
import { Processes } from './process.ts'
import { UserBitmap } from './user-bitmap.ts'

function bitmapAt(offset: bigint) {
  const host = createHost({ plugins: [] })
  const vmm = new Client(host, host.get(Processes).spawn())
  const memory = vmm.mmap({ bytes: 8192 })
  const uva = memory + offset
  const bitmap = new UserBitmap(vmm.process.addressSpace, { uva, first: 0x10_0000n, pageBytes: 0x1000n })
  return { vmm, memory, uva, bitmap }
}

test('bits are set beside those that are there, from any byte on', () => {
  const { vmm, uva, bitmap } = bitmapAt(3n)
  vmm.poke(uva, Uint8Array.of(0x80))
  bitmap.set(0x10_1000n, 0x1000n)
  bitmap.set(0x10_9000n, 1n)
  expect([...vmm.peek(uva, 3)]).toEqual([0x82, 0x02, 0])
})
test('a range over pages of memory, to its last page', () => {
  const { vmm, uva, bitmap } = bitmapAt(4095n)
  bitmap.set(0x10_4000n, 0x9001n)
  expect([...vmm.peek(uva, 3)]).toEqual([0xf0, 0x3f, 0])
})
test('the first page that cannot be written ends it', () => {
  const { vmm, memory, uva, bitmap } = bitmapAt(4095n)
  vmm.process.addressSpace.protect(memory + 4096n, 4096, { read: true, write: false })
  bitmap.set(0x10_0000n, 0x1_0000n)
  expect([...vmm.peek(uva, 2)]).toEqual([0xff, 0])
})
