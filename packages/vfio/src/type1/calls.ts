/** The calls of a type1 container. drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_ioctl. */
import { type Caller, type IoctlRow, type IoctlTable, readUser, UapiError, VFIO_CONVENTION } from '@ioasis/core'
import {
  VFIO_DMA_MAP_FLAG,
  VFIO_DMA_UNMAP_FLAG,
  VFIO_IOMMU_DIRTY_PAGES,
  VFIO_IOMMU_DIRTY_PAGES_FLAG,
  VFIO_IOMMU_GET_INFO,
  VFIO_IOMMU_INFO,
  VFIO_IOMMU_MAP_DMA,
  VFIO_IOMMU_UNMAP_DMA,
  type VfioBitmap,
  vfioBitmap,
  type VfioIommuType1DirtyBitmap,
  vfioIommuType1DirtyBitmap,
  vfioIommuType1DirtyBitmapGet,
  type VfioIommuType1DmaMap,
  type VfioIommuType1DmaUnmap,
  vfioIommuType1DmaUnmap,
  type VfioIommuType1Info,
  vfioIommuType1Info,
} from '@ioasis/uapi'
import { writeChain } from '../info-chain.ts'
import type { Type1, UnmapRequest } from './type1.ts'
import { checkBitmap } from './dirty-pages.ts'
import { infoCapabilities } from './info.ts'

const U64 = 1n << 64n

const getInfo: IoctlRow<Type1, VfioIommuType1Info> = {
  call: VFIO_IOMMU_GET_INFO,
  run(type1, { argsz }, caller, arg) {
    const chain = writeChain(caller, arg, vfioIommuType1Info.size, argsz, infoCapabilities(type1))
    const flags = VFIO_IOMMU_INFO.PGSIZES | VFIO_IOMMU_INFO.CAPS
    return { ret: 0, out: { ...chain, flags, iova_pgsizes: type1.domains.pageSizes, pad: 0 } }
  },
}

const map: IoctlRow<Type1, VfioIommuType1DmaMap> = {
  call: VFIO_IOMMU_MAP_DMA,
  run(type1, { flags, vaddr, iova, size }, caller) {
    const { READ, WRITE, VADDR } = VFIO_DMA_MAP_FLAG
    const what = 'VFIO_IOMMU_MAP_DMA'
    const prot = { read: (flags & READ) !== 0, write: (flags & WRITE) !== 0 }
    const update = (flags & VADDR) !== 0
    if (flags & ~(READ | WRITE | VADDR) || size === 0n) throw new UapiError('EINVAL', what, { flags, size })
    if (iova + size > U64 || vaddr + size > U64) throw new UapiError('EOVERFLOW', what, { iova, vaddr, size })
    if ((prot.read || prot.write) === update) throw new UapiError('EINVAL', what, { flags })
    if ((size | iova | vaddr) & (type1.pageBytes - 1n)) throw new UapiError('EINVAL', what, { iova, vaddr, size })
    if (update) type1.updateVaddr(caller, { vaddr, iova, size })
    else type1.map(caller, { iova, size, vaddr }, prot)
    return { ret: 0 }
  },
}

const unmap: IoctlRow<Type1, VfioIommuType1DmaUnmap> = {
  call: VFIO_IOMMU_UNMAP_DMA,
  run(type1, { argsz, flags, iova, size }, caller, arg) {
    const { GET_DIRTY_BITMAP, ALL, VADDR } = VFIO_DMA_UNMAP_FLAG
    const what = 'VFIO_IOMMU_UNMAP_DMA'
    if (flags & ~(GET_DIRTY_BITMAP | ALL | VADDR)) throw new UapiError('EINVAL', what, { flags })
    const bitmap = flags & GET_DIRTY_BITMAP ? dirtyBitmapAt(caller, arg, argsz, flags, size) : undefined
    const all = (flags & ALL) !== 0
    type1.mayInvalidate((flags & VADDR) !== 0)
    checkRange(type1, iova, size, all)
    const { pageBytes, dirty } = type1
    if (bitmap && (!dirty.on || bitmap.pgsize !== pageBytes)) throw new UapiError('EINVAL', what, { flags })
    const user = bitmap && { caller, data: bitmap.data, base: iova }
    const before: Pick<UnmapRequest, 'before'> = user ? { before: (mapping) => dirty.report(mapping, user) } : {}
    const bytes = type1.unmap({ iova, size, all, invalidateVaddr: (flags & VADDR) !== 0, ...before })
    return { ret: 0, out: { size: bytes } }
  },
}

function dirtyBitmapAt(caller: Caller, arg: bigint, argsz: number, flags: number, size: bigint): VfioBitmap {
  const what = 'VFIO_IOMMU_UNMAP_DMA'
  const others = VFIO_DMA_UNMAP_FLAG.ALL | VFIO_DMA_UNMAP_FLAG.VADDR
  const at = vfioIommuType1DmaUnmap.size
  if (flags & others || argsz < at + vfioBitmap.size) throw new UapiError('EINVAL', what, { flags, argsz })
  const bitmap = vfioBitmap.decode(readUser(caller, arg + BigInt(at), vfioBitmap.size, what))
  checkBitmap(bitmap, size)
  return bitmap
}

function checkRange(type1: Type1, iova: bigint, size: bigint, all: boolean): void {
  const inPage = type1.pageBytes - 1n
  const what = 'VFIO_IOMMU_UNMAP_DMA'
  if (iova & inPage || (all ? iova | size : size === 0n || size & inPage))
    throw new UapiError('EINVAL', what, { iova, size })
  if (iova + size > U64) throw new UapiError('EOVERFLOW', what, { iova, size })
}

const dirtyPages: IoctlRow<Type1, VfioIommuType1DirtyBitmap> = {
  call: VFIO_IOMMU_DIRTY_PAGES,
  run(type1, { argsz, flags }, caller, arg) {
    const { START, STOP, GET_BITMAP } = VFIO_IOMMU_DIRTY_PAGES_FLAG
    const what = 'VFIO_IOMMU_DIRTY_PAGES'
    if (flags !== START && flags !== STOP && flags !== GET_BITMAP) throw new UapiError('EINVAL', what, { flags })
    if (flags === GET_BITMAP) reportRange(type1, caller, arg, argsz)
    else if (flags === START) type1.dirty.start()
    else type1.dirty.stop()
    return { ret: 0 }
  },
}

function reportRange(type1: Type1, caller: Caller, arg: bigint, argsz: number): void {
  const what = 'VFIO_IOMMU_DIRTY_PAGES'
  const at = vfioIommuType1DirtyBitmap.size
  const room = vfioIommuType1DirtyBitmapGet.size
  if (argsz - at < room) throw new UapiError('EINVAL', what, { argsz })
  const { iova, size, bitmap } = vfioIommuType1DirtyBitmapGet.decode(readUser(caller, arg + BigInt(at), room, what))
  if (size === 0n) throw new UapiError('EINVAL', what, { size })
  if (iova + size > U64) throw new UapiError('EOVERFLOW', what, { iova, size })
  checkBitmap(bitmap, size)
  const { pageBytes, mappings, dirty } = type1
  const last = iova + size - 1n
  const unaligned = (iova | size) & (pageBytes - 1n)
  if (bitmap.pgsize !== pageBytes || unaligned || !dirty.on) throw new UapiError('EINVAL', what, { iova, size })
  type1.mustNotCut(iova, last, what)
  const user = { caller, data: bitmap.data, base: iova }
  for (const mapping of mappings.within(iova, last)) dirty.reportAndClear(mapping, user)
}

/** The calls of a container with this back end. */
export const TYPE1_TABLE: IoctlTable = {
  file: 'vfio-container',
  convention: VFIO_CONVENTION,
  rows: [getInfo, map, unmap, dirtyPages],
}
