import { expect, test } from 'vitest'
import { type CStruct, struct, u32 } from '../c-struct.ts'
import { UapiError } from '../errno.ts'
import { Client } from '../file/client.ts'
import { createHost } from '../plugin/host.ts'
import { Processes } from '../process/process.ts'
import { UserData, UserDataArray } from './user-data.ts'

const PAIR: CStruct<{ readonly a: number; readonly b: number }> = struct('pair', { a: u32, b: u32 })
const host = createHost({ plugins: [], machine: { ram: 16 << 20 } })
const vmm = new Client(host, host.get(Processes).spawn())
const at = vmm.mmap({ bytes: 4096 })
const put = (...words: number[]): bigint => {
  vmm.poke(at, new Uint8Array(Uint32Array.from(words).buffer))
  return at
}
const data = (bytes: number, uva = put(1, 2), type = 7): UserData => new UserData(vmm.caller, { type, uva, bytes })
const list = (entryBytes: number, count: number, uva = at): UserDataArray =>
  new UserDataArray(vmm.caller, { type: 7, uva, entryBytes, count })
const refusal = (action: () => unknown): string | undefined => {
  try {
    action()
  } catch (error) {
    if (error instanceof UapiError) return error.errno
    throw error
  }
  return undefined
}

test('a struct of an older program has zeros where it ends', () => {
  expect([data(8).read(PAIR, 7), data(4).read(PAIR, 7, 4)]).toEqual([
    { a: 1, b: 2 },
    { a: 1, b: 0 },
  ])
})

test('another type, too little and too much are refused before anything is read', () => {
  expect(refusal(() => data(8, 8n).read(PAIR, 8))).toBe('EINVAL')
  expect(refusal(() => data(3, 8n).read(PAIR, 7, 4))).toBe('EINVAL')
  expect(refusal(() => data(9, 8n).read(PAIR, 7, 4))).toBe('EINVAL')
  expect(refusal(() => data(8, 8n).read(PAIR, 7))).toBe('EFAULT')
})

test('an answer goes where the data was, as far as there is room', () => {
  put(0, 0, 9)
  data(8, at).write(PAIR, { a: 5, b: 6 }, 7)
  data(4, at + 8n).write(PAIR, { a: 8, b: 6 }, 7, 4)
  expect([...vmm.peek(at, 16)]).toEqual([5, 0, 0, 0, 6, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0])
  expect(refusal(() => data(8, 8n).write(PAIR, {}, 7))).toBe('EFAULT')
})

test('entries are read one by one at their distance', () => {
  put(1, 2, 3, 4, 5, 6)
  expect([list(8, 3).read(PAIR, 7, 2), list(4, 6).read(PAIR, 7, 3, 4)]).toEqual([
    { a: 5, b: 6 },
    { a: 4, b: 0 },
  ])
  expect(refusal(() => list(12, 2).read(PAIR, 7, 0))).toBe('EINVAL')
  expect(refusal(() => list(8, 1).read(PAIR, 7, 1))).toBe('EINVAL')
})

test('all entries at once may be longer than the struct, with zeros', () => {
  put(1, 2, 0, 3, 4, 0, 5, 6, 7)
  expect(list(12, 2).readAll(PAIR, 7)).toEqual([
    { a: 1, b: 2 },
    { a: 3, b: 4 },
  ])
  expect(list(4, 2).readAll(PAIR, 7)).toEqual([
    { a: 1, b: 0 },
    { a: 2, b: 0 },
  ])
  expect(refusal(() => list(12, 3).readAll(PAIR, 7))).toBe('E2BIG')
  expect(refusal(() => list(8, 2, at + 4088n).readAll(PAIR, 7))).toBe('EFAULT')
  expect(refusal(() => list(8, 0).readAll(PAIR, 7))).toBe('EINVAL')
  expect(refusal(() => list(8, 1).readAll(PAIR, 8))).toBe('EINVAL')
})
