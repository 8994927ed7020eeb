/** Automatic choice of an iova. drivers/iommu/iommufd/io_pagetable.c iopt_alloc_iova; struct interval_tree_double_span_iter. */
import { IntervalMap, type Iova, type IovaRange, UapiError } from '@ioasis/core'
import { joined } from './reserved-ranges.ts'
import { U64_MAX } from './uapi.ts'

/** A huge page of the CPU: more alignment is not worth holes. */
const MOST_ALIGNMENT = 1n << 21n

/** What has to be placed, and among what. */
export interface PlacementRequest {
  readonly bytes: bigint
  /** Where the memory lies for its owner: its alignment is worth keeping. */
  readonly source: bigint
  /** Of the IOAS. */
  readonly alignment: number
  readonly pageBytes: number
  /** From the second page up to here all is taken. */
  readonly full: Iova
  /** Empty: everything. */
  readonly allowed: IntervalMap<unknown>
  readonly reserved: IntervalMap<unknown>
  readonly areas: IntervalMap<unknown>
}

/**
 * The lowest free place, never in the first or last page.
 * @throws UapiError EOVERFLOW for no bytes or half of all; EINVAL when the source is less aligned than the IOAS; ENOSPC
 */
export function placeArea(request: PlacementRequest): Iova {
  const { bytes, source, pageBytes, full, allowed, reserved, areas } = request
  if (bytes === 0n || bytes >= U64_MAX / 2n) throw new UapiError('EOVERFLOW', 'iommufd placement', { bytes })
  const align = alignmentFor(bytes, source)
  if (align < BigInt(request.alignment)) throw new UapiError('EINVAL', 'iommufd placement', { source, align })
  const offset = source % BigInt(pageBytes)
  for (const range of usable(allowed, BigInt(pageBytes))) {
    const start = fit(range.first, range.last, bytes, align, offset)
    if (start === undefined) continue
    for (const hole of holes(reserved, areas, start > full ? start : full, range.last)) {
      const iova = fit(hole.first, hole.last, bytes, align, offset)
      if (iova !== undefined) return iova
    }
  }
  throw new UapiError('ENOSPC', 'iommufd placement', { bytes, align })
}

function alignmentFor(bytes: bigint, source: bigint): bigint {
  const whole = 1n << BigInt((bytes - 1n).toString(2).length)
  const wanted = bytes === 1n ? 1n : whole
  const natural = source === 0n ? wanted : source & -source
  const align = natural < wanted ? natural : wanted
  return align < MOST_ALIGNMENT ? align : MOST_ALIGNMENT
}

/** The allowed ranges without the first and last page of all iovas. */
function usable(allowed: IntervalMap<unknown>, page: bigint): readonly IovaRange[] {
  const whole = { first: page, last: U64_MAX - page }
  if (allowed.size === 0) return [whole]
  return joined([...allowed.within()]).flatMap(({ first, last }) => {
    const part = { first: first > whole.first ? first : whole.first, last: last < whole.last ? last : whole.last }
    return part.first <= part.last ? [part] : []
  })
}

/** Where the bytes go within [first, last]. The offset is put into the low bits, as Linux does, not added. */
function fit(first: bigint, last: bigint, bytes: bigint, align: bigint, offset: bigint): bigint | undefined {
  const up = first + align - 1n
  if (up > U64_MAX) return undefined
  const start = (up & ~(align - 1n)) | offset
  return start < last && last - start >= bytes - 1n ? start : undefined
}

/** What neither map covers in [first, last], in order. */
function* holes(
  reserved: IntervalMap<unknown>,
  areas: IntervalMap<unknown>,
  first: bigint,
  last: bigint,
): Generator<IovaRange> {
  for (const free of reserved.gaps(first, last)) yield* areas.gaps(free.first, free.last)
}
