import type { Group } from '@ioasis/core'
import { expect, test } from 'vitest'
import { ListDomain } from '../world.test-kit.ts'
import { EVERYTHING, inside, validRanges, without } from './ranges.ts'

test('holes cut, shorten and swallow ranges', () => {
  expect(without([{ first: 0n, last: 9n }], [{ first: 3n, last: 4n }])).toEqual([
    { first: 0n, last: 2n },
    { first: 5n, last: 9n },
  ])
  expect(without([{ first: 3n, last: 9n }], [{ first: 0n, last: 4n }])).toEqual([{ first: 5n, last: 9n }])
  expect(without([{ first: 3n, last: 4n }], EVERYTHING)).toEqual([])
})
test('a window keeps what lies in it', () => {
  expect(
    inside(
      [
        { first: 0n, last: 9n },
        { first: 20n, last: 30n },
      ],
      { first: 5n, last: 20n },
    ),
  ).toEqual([
    { first: 5n, last: 9n },
    { first: 20n, last: 20n },
  ])
})
test('what all domains hold, without what a group reserves; relaxable regions do not count', () => {
  const reserved = [
    { first: 0x1000n, last: 0x1fffn, type: 'direct' },
    { first: 0x5000n, last: 0x5fffn, type: 'relaxable' },
  ]
  const group = { reserved } as unknown as Group
  expect(validRanges([new ListDomain(false)], [group])).toEqual([
    { first: 0n, last: 0xfffn },
    { first: 0x2000n, last: 0xffff_ffffn },
  ])
})
