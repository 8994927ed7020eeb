import type { Group } from '@ioasis/core'
import { expect, test } from 'vitest'
import { EVERYTHING, forbidden, inside, narrowed, validAgain, widened, without } from './ranges.ts'

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
const group = (...reserved: readonly object[]): Group => ({ reserved }) as unknown as Group

test('relaxable regions do not count', () => {
  const direct = { first: 0x1000n, last: 0x1fffn, type: 'direct' }
  expect(forbidden(group(direct, { first: 0x5000n, last: 0x5fffn, type: 'relaxable' }))).toEqual([direct])
})
test('the first domain limits iovas; the next ones narrow what is left', () => {
  const first = narrowed(undefined, { first: 0n, last: 99n })
  expect([first, narrowed(first, { first: 10n, last: 200n })]).toEqual([
    [{ first: 0n, last: 99n }],
    [{ first: 10n, last: 99n }],
  ])
})
test('when a domain goes, the ends move out to what the others hold', () => {
  const ranges = [
    { first: 10n, last: 19n },
    { first: 30n, last: 39n },
  ]
  expect(widened(ranges, [{ first: 5n, last: 99n }])).toEqual([
    { first: 5n, last: 19n },
    { first: 30n, last: 99n },
  ])
  expect(widened(ranges, [])?.at(-1)?.last).toBe((1n << 64n) - 1n)
})
test('what a group reserved comes back, but not at an end', () => {
  const ranges = [
    { first: 10n, last: 19n },
    { first: 30n, last: 39n },
  ]
  expect(validAgain(ranges, [])).toEqual([{ first: 10n, last: 39n }])
  expect(validAgain(ranges, [group({ first: 12n, last: 12n, type: 'msi' })])).toEqual([
    { first: 10n, last: 11n },
    { first: 13n, last: 39n },
  ])
})
