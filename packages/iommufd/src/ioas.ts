/** I/O address spaces: what IOMMU_IOAS_* do. drivers/iommu/iommufd/ioas.c. */
import {
  type Caller,
  type FailurePoints,
  holdFile,
  IntervalMap,
  type Iova,
  isDmaBuf,
  loWord,
  readUser,
  split,
  UapiError,
  writeUser,
} from '@ioasis/core'
import type { Slice } from './area.ts'
import type { AccountMode, PagesOwner } from './accounting.ts'
import type { HwptIoas, HwptPaging } from './hwpt-paging.ts'
import { IoPageTable } from './io-pagetable.ts'
import type { IommufdObject } from './object.ts'
import { DmaBufPages, FilePages, UserPages } from './page-sources.ts'
import type { Pages } from './pages.ts'
import { IOVA_RANGE, MAP_FLAG, U64_MAX } from './uapi.ts'

/** What an IOAS needs of its context. */
export interface IoasContext {
  /** `pageBytes`: bytes of a page of the CPU. */
  readonly parts: { readonly pageBytes: number; readonly failures?: FailurePoints | undefined }
  /** What container calls act on (IOMMU_VFIO_IOAS). */
  compatIoas: Ioas | undefined
  /** Who maps, as Linux latches it: memory, process and user of the caller. */
  ownerOf(caller: Caller): PagesOwner
  /** How a new mapping's pins are counted. */
  accountFor(caller: Caller): AccountMode
}

/** One IOAS. */
export class Ioas implements IommufdObject, HwptIoas {
  readonly kind = 'ioas'
  id = 0
  users = 0
  readonly table: IoPageTable
  /** In the order they were made; those with `automatic` are tried for devices that attach to the IOAS. */
  readonly hwpts: HwptPaging[] = []
  readonly #context: IoasContext

  constructor(context: IoasContext) {
    this.#context = context
    this.table = new IoPageTable(context.parts.pageBytes, context.parts.failures)
  }
  destroy(): void {
    if (this.#context.compatIoas === this) this.#context.compatIoas = undefined
    this.table.unmap(0n, U64_MAX)
  }
}

/** A request of MAP or MAP_FILE whose numbers were checked. */
interface MapRequest {
  readonly flags: number
  readonly iova: Iova
  readonly length: bigint
}

const RIGHTS: number = MAP_FLAG.READABLE | MAP_FLAG.WRITEABLE
const KNOWN: number = RIGHTS | MAP_FLAG.FIXED_IOVA

/**
 * What MAP, MAP_FILE and COPY check before they look for the IOAS.
 * @param length it and the iovas may not be the last value of 64 bits
 * @throws UapiError EOPNOTSUPP, EOVERFLOW, EINVAL
 */
export function checkMapFlags(call: string, flags: number, length: bigint, iova: bigint, other = 0n): void {
  if ((flags & ~KNOWN) !== 0) throw new UapiError('EOPNOTSUPP', call, { flags })
  if (length === U64_MAX || iova === U64_MAX || other === U64_MAX)
    throw new UapiError('EOVERFLOW', call, { length, iova })
  if ((flags & RIGHTS) === 0) throw new UapiError('EINVAL', call, { flags })
}

const isWritable = (flags: number): boolean => (flags & MAP_FLAG.WRITEABLE) !== 0

/** IOMMU_IOAS_MAP once the IOAS is found. @throws UapiError EOVERFLOW, EINVAL, EEXIST, ENOSPC; EFAULT, ENOMEM once a domain needs the pages */
export function mapUser(
  context: IoasContext,
  ioas: Ioas,
  caller: Caller,
  { user_va: uva, flags, iova, length }: MapRequest & { readonly user_va: bigint },
): Iova {
  const owner = context.ownerOf(caller)
  const account = context.accountFor(caller)
  const pages = new UserPages(owner, uva, length, { writable: isWritable(flags), account })
  split(uva)
  return mapNew(ioas, pages, loWord() & (context.parts.pageBytes - 1), { flags, iova, length })
}

/** IOMMU_IOAS_MAP_FILE once the IOAS is found. @throws UapiError EINVAL, EOVERFLOW, EBADF, ENODEV, and as MAP */
export function mapFile(
  context: IoasContext,
  ioas: Ioas,
  caller: Caller,
  request: MapRequest & { readonly fd: number; readonly start: bigint },
): Iova {
  const { fd, start, length, flags } = request
  if (length === 0n) throw new UapiError('EINVAL', 'IOMMU_IOAS_MAP_FILE', { length })
  if (start + length - 1n > U64_MAX) throw new UapiError('EOVERFLOW', 'IOMMU_IOAS_MAP_FILE', { start, length })
  const file = holdFile(caller, fd)
  const Kind = isDmaBuf(file.ops) ? DmaBufPages : FilePages
  let pages: Pages
  try {
    const options = { writable: isWritable(flags), account: context.accountFor(caller) }
    pages = new Kind(context.ownerOf(caller), file, start, length, options)
  } catch (error) {
    file.put()
    throw error
  }
  return mapNew(ioas, pages, Number(start % BigInt(context.parts.pageBytes)), request)
}

function mapNew(ioas: Ioas, pages: Pages, offset: number, { flags, iova, length }: MapRequest): Iova {
  const at = flags & MAP_FLAG.FIXED_IOVA ? iova : undefined
  try {
    return ioas.table.map([{ pages, page: 0, offset, bytes: length }], length, at, flags & RIGHTS)
  } finally {
    pages.release()
  }
}

/** What COPY asks. */
export interface CopyRequest {
  readonly flags: number
  readonly length: bigint
  readonly src_iova: Iova
  readonly dst_iova: Iova
}

/**
 * IOMMU_IOAS_COPY: the source is looked at before the destination is looked for.
 * @param destination finds it
 * @throws UapiError EINVAL, EOVERFLOW, ENOENT of the source; as MAP of the destination; EPERM for a right the pages lack
 */
export function copy(source: Ioas, destination: () => Ioas, request: CopyRequest): Iova {
  const { flags, length } = request
  const slices: readonly Slice[] = source.table.slices(request.src_iova, length)
  try {
    const at = flags & MAP_FLAG.FIXED_IOVA ? request.dst_iova : undefined
    return destination().table.map(slices, length, at, flags & RIGHTS)
  } finally {
    for (const { pages } of slices) pages.release()
  }
}

/**
 * IOMMU_IOAS_UNMAP. Areas before one that is cut stay unmapped, as in Linux.
 * @returns bytes unmapped
 * @throws UapiError EOVERFLOW, EINVAL, ENOENT; EBUSY for an area that hardware uses by host address
 */
export function unmap({ table }: Ioas, iova: Iova, length: bigint): bigint {
  const call = 'IOMMU_IOAS_UNMAP'
  const last = iova + length - 1n
  // Nearly every call names one area; what the checks below refuse is the place of none.
  if (table.unmapWhole(iova, last)) return length
  if (iova === 0n && length === U64_MAX) {
    const all = table.unmap(0n, U64_MAX)
    if (all.errno) throw new UapiError(all.errno, call, { iova, length })
    return all.bytes
  }
  if (iova === U64_MAX || length === U64_MAX) throw new UapiError('EOVERFLOW', call, { iova, length })
  if (length === 0n) throw new UapiError('EINVAL', call, { iova, length })
  if (last > U64_MAX) throw new UapiError('EOVERFLOW', call, { iova, length })
  const { bytes, errno } = table.unmap(iova, last)
  if (errno || bytes === 0n) throw new UapiError(errno ?? 'ENOENT', call, { iova, length })
  return bytes
}

/** Writes the usable ranges to the caller's array, as many as it has room for. @returns how many there are @throws UapiError EFAULT */
export function writeRanges({ table }: Ioas, caller: Caller, uva: bigint, room: number): number {
  const ranges = table.iovas.usable()
  ranges.slice(0, room).forEach(({ first, last }, i) => {
    writeUser(
      caller,
      uva + BigInt(i * IOVA_RANGE.size),
      IOVA_RANGE.make({ start: first, last }),
      'IOMMU_IOAS_IOVA_RANGES',
    )
  })
  return ranges.length
}

/** Reads the caller's array of allowed ranges. @throws UapiError EFAULT; EINVAL for one that is empty, of one byte, or overlaps another */
export function readRanges(caller: Caller, uva: bigint, count: number): IntervalMap<true> {
  const call = 'IOMMU_IOAS_ALLOW_IOVAS'
  const ranges = new IntervalMap<true>()
  for (let i = 0; i < count; i++) {
    const bytes = readUser(caller, uva + BigInt(i * IOVA_RANGE.size), IOVA_RANGE.size, call)
    const { start: first, last } = IOVA_RANGE.decode(bytes)
    if (first >= last || !ranges.insert(first, last, true)) throw new UapiError('EINVAL', call, { first, last })
  }
  return ranges
}
