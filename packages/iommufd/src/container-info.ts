/**
 * VFIO_IOMMU_GET_INFO of an IOAS: page sizes, and capabilities behind the struct as far as the caller has room.
 * drivers/iommu/iommufd/vfio_compat.c iommufd_vfio_iommu_get_info.
 */
import { type Caller, CAPABILITY_HEADER, writeUser } from '@ioasis/core'
import { VFIO_IOMMU_GET_INFO, VFIO_IOMMU_INFO, VFIO_IOMMU_TYPE1_INFO_CAP, type VfioIommuType1Info } from '@ioasis/uapi'
import type { Ioas } from './ioas.ts'
import { U64_MAX } from './uapi.ts'

const CALL: string = VFIO_IOMMU_GET_INFO.name
/** `sizeof(struct vfio_iommu_type1_info)`: the first capability stands behind it. */
const INFO_BYTES = 24
/** VFIO's own limit of mappings does not exist here. */
const UNLIMITED = 0xffff_ffff

/**
 * Writes the capabilities that fit.
 * @param arg where the caller's struct lies
 * @param argsz bytes it has there
 * @returns the struct's members
 * @throws UapiError EFAULT
 */
export function containerInfo(ioas: Ioas, caller: Caller, arg: bigint, argsz: number): Partial<VfioIommuType1Info> {
  let total = INFO_BYTES
  let last: number | undefined
  for (const capability of [dmaAvail(), iovaRanges(ioas)]) {
    const room = Math.max(0, argsz - total)
    for (const { from, needs, bytes } of capability.pieces) {
      if (room >= needs) writeUser(caller, arg + BigInt(total + from), bytes, CALL)
    }
    if (last !== undefined && argsz >= total) writeUser(caller, arg + BigInt(last + 4), word(total), CALL)
    last = total
    total += Math.ceil(capability.size / 8) * 8
  }
  return {
    argsz: total,
    flags: VFIO_IOMMU_INFO.PGSIZES | VFIO_IOMMU_INFO.CAPS,
    iova_pgsizes: pageSizes(ioas),
    cap_offset: argsz >= total ? INFO_BYTES : 0,
  }
}

/** A capability, written in pieces: each only when the room reaches to `needs`. */
interface Capability {
  readonly size: number
  readonly pieces: readonly { readonly from: number; readonly needs: number; readonly bytes: Uint8Array }[]
}

function header(id: number, body: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(CAPABILITY_HEADER.size + 4 * body.length)
  CAPABILITY_HEADER.encode({ id, version: 1, next: 0 }, bytes)
  body.forEach((value, i) => bytes.set(word(value), CAPABILITY_HEADER.size + 4 * i))
  return bytes
}

function dmaAvail(): Capability {
  const bytes = header(VFIO_IOMMU_TYPE1_INFO_CAP.DMA_AVAIL, [UNLIMITED])
  return { size: bytes.length, pieces: [{ from: 0, needs: bytes.length, bytes }] }
}

/** Ranges are written one by one, the head with their number last. */
function iovaRanges({ table }: Ioas): Capability {
  const ranges = table.iovas.usable()
  const head = header(VFIO_IOMMU_TYPE1_INFO_CAP.IOVA_RANGE, [ranges.length, 0])
  const size = head.length + 16 * ranges.length
  const pieces = ranges.map(({ first, last }, i) => {
    const bytes = new Uint8Array(16)
    new DataView(bytes.buffer).setBigUint64(0, first, true)
    new DataView(bytes.buffer).setBigUint64(8, last, true)
    return { from: head.length + 16 * i, needs: head.length + 16 * (i + 1), bytes }
  })
  return { size, pieces: [...pieces, { from: 0, needs: size, bytes: head }] }
}

/** What all domains have; below a page of the CPU everything can be had (iommufd_get_pagesizes). */
function pageSizes({ table }: Ioas): bigint {
  const page = BigInt(table.iovas.pageBytes)
  const whole = U64_MAX & ~(page - 1n)
  let sizes = U64_MAX
  for (const domain of table.domains) sizes &= domain.pageSizes
  if ((sizes & (page - 1n)) !== 0n) sizes = (sizes & whole) | page
  const least = BigInt(table.iovas.alignment)
  return sizes > least ? sizes : least
}

function word(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value, true)
  return bytes
}
