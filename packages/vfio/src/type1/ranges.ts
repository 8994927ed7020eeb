/** Iovas that a container may map: what all its domains can hold, without what any of its groups reserves. */
import type { Group, IovaRange } from '@ioasis/core'

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

/** What is left when a domain comes; undefined: nothing limited iovas yet. vfio_iommu_aper_resize */
export const narrowed = (ranges: readonly IovaRange[] | undefined, aperture: IovaRange): readonly IovaRange[] =>
  ranges ? inside(ranges, aperture) : [aperture]

/** A domain went: the ends lie where those that are left put them, without any at the ends of all. vfio_iommu_aper_expand */
export function widened(
  ranges: readonly IovaRange[] | undefined,
  apertures: readonly IovaRange[],
): readonly IovaRange[] | undefined {
  const [all] = apertures.reduce((left, aperture) => inside(left, aperture), EVERYTHING)
  const [lowest] = ranges ?? []
  if (!ranges || !lowest || !all) return ranges
  const ends = [...ranges]
  ends[0] = { ...lowest, first: all.first }
  ends.push({ ...(ends.pop() as IovaRange), last: all.last })
  return ends
}

/** A group went: what it reserved can be mapped again, if it does not lie at an end. vfio_iommu_resv_refresh */
export function validAgain(ranges: readonly IovaRange[] | undefined, groups: readonly Group[]): readonly IovaRange[] {
  const [first, last] = [ranges?.[0]?.first, ranges?.at(-1)?.last]
  if (first === undefined || last === undefined) return []
  return groups.reduce<readonly IovaRange[]>((left, group) => without(left, forbidden(group)), [{ first, last }])
}
