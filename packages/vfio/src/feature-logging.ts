/**
 * Features of a device that remembers what it writes. drivers/vfio/vfio_main.c vfio_ioctl_device_feature_logging_start, _stop,
 * _report; drivers/iommu/iommufd/iova_bitmap.c.
 */
import {
  type Caller,
  readUser,
  UapiError,
  UserBitmap,
  type Uva,
  type VfioDmaLogging,
  type VfioFeature,
  writeUser,
} from '@ioasis/core'
import {
  VFIO_FEATURE,
  type VfioDmaLoggingControl,
  vfioDmaLoggingControl,
  vfioDmaLoggingRange,
  vfioDmaLoggingReport,
} from '@ioasis/uapi'

/** Ranges fit into one page of the kernel, on x86. LOG_MAX_RANGES */
const MOST_RANGES = 256
const U64_MAX = (1n << 64n) - 1n
const SMALLEST_PAGE = 4096n

/** @returns undefined for a feature that is none of these */
export function loggingFeature(logging: VfioDmaLogging, number: number): VfioFeature | undefined {
  switch (number) {
    case VFIO_FEATURE.DMA_LOGGING_START:
      return { minimum: vfioDmaLoggingControl.size, set: (caller, { uva }) => start(logging, caller, uva) }
    case VFIO_FEATURE.DMA_LOGGING_STOP:
      return { minimum: 0, set: () => stop(logging) }
    case VFIO_FEATURE.DMA_LOGGING_REPORT:
      return { minimum: vfioDmaLoggingReport.size, get: (caller, { uva }) => report(logging, caller, uva) }
  }
  return undefined
}

function stop(logging: VfioDmaLogging): number {
  logging.stop()
  return 0
}

interface Range {
  readonly first: bigint
  readonly last: bigint
}

function start(logging: VfioDmaLogging, caller: Caller, uva: Uva): number {
  const what = 'VFIO_DEVICE_FEATURE_DMA_LOGGING_START'
  const control = vfioDmaLoggingControl.decode(readUser(caller, uva, vfioDmaLoggingControl.size, what))
  if (control.num_ranges === 0) throw new UapiError('EINVAL', what, { ranges: 0 })
  if (control.num_ranges > MOST_RANGES) throw new UapiError('E2BIG', what, { ranges: control.num_ranges })
  const page_size = logging.start(rangesOf(control, caller, what), control.page_size)
  try {
    const answer = { ...control, page_size }
    writeUser(caller, uva, vfioDmaLoggingControl.make(answer), what)
  } catch (error) {
    logging.stop()
    throw error
  }
  return 0
}

/** Each range is read and checked before the next. */
function rangesOf({ num_ranges, ranges, page_size }: VfioDmaLoggingControl, caller: Caller, what: string): Range[] {
  const found: Range[] = []
  for (let i = 0; i < num_ranges; i++) {
    const at = ranges + BigInt(i * vfioDmaLoggingRange.size)
    const { iova, length } = vfioDmaLoggingRange.decode(readUser(caller, at, vfioDmaLoggingRange.size, what))
    const inPage = BigInt.asUintN(64, page_size - 1n)
    if ((iova | length) & inPage) throw new UapiError('EINVAL', what, { iova, length, page_size })
    if (iova + length > U64_MAX) throw new UapiError('EOVERFLOW', what, { iova, length })
    const range = { first: iova, last: BigInt.asUintN(64, iova + length - 1n) }
    if (found.some(({ first, last }) => first <= range.last && last >= range.first))
      throw new UapiError('EINVAL', what, { iova, length })
    found.push(range)
  }
  return found.toSorted((a, b) => (a.first < b.first ? -1 : 1))
}

function report(logging: VfioDmaLogging, caller: Caller, uva: Uva): number {
  const what = 'VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT'
  const {
    iova,
    length,
    page_size,
    bitmap: at,
  } = vfioDmaLoggingReport.decode(readUser(caller, uva, vfioDmaLoggingReport.size, what))
  if (page_size < SMALLEST_PAGE || (page_size & (page_size - 1n)) !== 0n)
    throw new UapiError('EINVAL', what, { page_size })
  if (iova + length > U64_MAX) throw new UapiError('EOVERFLOW', what, { iova, length })
  const bitmap = new UserBitmap(caller.process.addressSpace, { uva: at, first: iova, pageBytes: page_size })
  logging.report(iova, length, (first, bytes) => bitmap.set(first, bytes))
  return 0
}
