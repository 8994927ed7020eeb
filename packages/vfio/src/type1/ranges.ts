/** Iovas that a container may map: what all its domains can hold, without what any of its groups reserves. */
import type { Group, IovaRange, PagingDomain } from '@ioasis/core'

/** All of the address space. */
export const EVERYTHING: readonly IovaRange[] = [{ first: 0n, last: (1n << 64n) - 1n }]

/** Ranges in order, without those in `holes`. */
export function without(ranges: readonly IovaRange[], holes: readonly IovaRange[]): readonly IovaRange[] {
  let left = ranges
  for (const { first, last } of holes) {
    left = left.flatMap((range) => {
      if (last < range.first || first > range.last) return [range]
      const below = first > range.first ? [{ first: range.first, last: first - 1n }] : []
      const above = last < range.last ? [{ first: last + 1n, last: range.last }] : []
      return [...below, ...above]
    })
  }
  return left
}

/** Parts of the ranges inside a window. */
export const inside = (ranges: readonly IovaRange[], { first, last }: IovaRange): readonly IovaRange[] =>
  ranges
    .filter((range) => range.last >= first && range.first <= last)
    .map((range) => ({
      first: range.first > first ? range.first : first,
      last: range.last < last ? range.last : last,
    }))

/** What a group forbids: relaxable one-to-one regions do not count. */
export const forbidden = (group: Group): readonly IovaRange[] =>
  group.reserved.filter(({ type }) => type !== 'relaxable')

/** What is left by these domains and groups. */
export function validRanges(domains: readonly PagingDomain[], groups: readonly Group[]): readonly IovaRange[] {
  const held = domains.reduce((ranges, { aperture }) => inside(ranges, aperture), EVERYTHING)
  return groups.reduce((ranges, group) => without(ranges, forbidden(group)), held)
}
