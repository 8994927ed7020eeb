import { expect, test } from 'vitest'
import { joined, ReservedRanges } from './reserved-ranges.ts'
import { U64_MAX } from './uapi.ts'

test('ranges of several owners overlap, and each goes with its owner', () => {
  const reserved = new ReservedRanges()
  const [a, b] = [{}, {}]
  reserved.add(0x1000n, 0x1fffn, a)
  reserved.add(0x1800n, 0x2fffn, b)
  expect(reserved.usable()).toEqual([
    { first: 0n, last: 0xfffn },
    { first: 0x3000n, last: U64_MAX },
  ])
  reserved.remove(a)
  expect(reserved.touches(0x1000n, 0x17ffn)).toBe(false)
  expect(reserved.touches(0x1000n, 0x1800n)).toBe(true)
  reserved.remove(b)
  expect([reserved.size, reserved.usable()]).toEqual([0, [{ first: 0n, last: U64_MAX }]])
})

test('ranges that touch are one, up to the end of all addresses', () => {
  const ranges = [
    { first: 0x2000n, last: U64_MAX },
    { first: 0x1000n, last: 0x1fffn },
    { first: 0x3000n, last: 0x3fffn },
    { first: 0n, last: 0xffn },
  ]
  expect(joined(ranges)).toEqual([
    { first: 0n, last: 0xffn },
    { first: 0x1000n, last: U64_MAX },
  ])
})
