/**
 * The calls of a VFIO container with a type1 back end, answered by an IOAS. drivers/iommu/iommufd/vfio_compat.c.
 *
 * Every iommufd answers them, not only one that serves a VFIO group. They act on the IOAS that IOMMU_VFIO_IOAS chose or the
 * first group brought.
 */
import { type Errno, type IoctlRow, type IoctlTable, UapiError, VFIO_CONVENTION } from '@ioasis/core'
import {
  VFIO_API_VERSION,
  VFIO_CHECK_EXTENSION,
  VFIO_DMA_MAP_FLAG,
  VFIO_DMA_UNMAP_FLAG,
  VFIO_EXTENSION,
  VFIO_GET_API_VERSION,
  VFIO_IOMMU_GET_INFO,
  VFIO_IOMMU_MAP_DMA,
  VFIO_IOMMU_UNMAP_DMA,
  VFIO_SET_IOMMU,
  type VfioIommuType1DmaMap,
  type VfioIommuType1DmaUnmap,
  type VfioIommuType1Info,
} from '@ioasis/uapi'
import { containerInfo } from './container-info.ts'
import type { IommufdContext } from './context.ts'
import type { Unmapped } from './io-pagetable.ts'
import { Ioas, mapUser } from './ioas.ts'
import { MAP_FLAG, U64_MAX } from './uapi.ts'

type Row<T> = IoctlRow<IommufdContext, T>

/** The IOAS of the container calls. @throws UapiError ENODEV */
export function compatIoas(context: IommufdContext, call: string): Ioas {
  if (!context.compatIoas) throw new UapiError('ENODEV', call)
  return context.compatIoas
}

/**
 * A group takes the file as its container: an IOAS is made unless there is one; for a no-IOMMU group there may be none.
 * @throws UapiError EINVAL when IOMMU and no-IOMMU would meet
 */
export function joinCompat(context: IommufdContext, noIommu: boolean): void {
  const clash = noIommu ? context.compatIoas !== undefined : context.noIommu
  if (clash) throw new UapiError('EINVAL', 'iommufd container', { noIommu: noIommu ? 1 : 0 })
  if (noIommu) context.noIommu = true
  else context.compatIoas ??= context.objects.add(new Ioas(context))
}

const getApiVersion: Row<never> = { call: VFIO_GET_API_VERSION, run: () => ({ ret: VFIO_API_VERSION }) }

const checkExtension: Row<never> = {
  call: VFIO_CHECK_EXTENSION,
  run: (context, _input, _caller, arg) => ({ ret: extension(context, arg) }),
}

/** Every kernel with iommufd here was built with CONFIG_VFIO_NOIOMMU, so that type is always known. */
function extension(context: IommufdContext, arg: bigint): number {
  switch (Number(arg)) {
    case VFIO_EXTENSION.VFIO_TYPE1_IOMMU:
    case VFIO_EXTENSION.VFIO_TYPE1v2_IOMMU:
    case VFIO_EXTENSION.VFIO_UNMAP_ALL:
      return context.noIommu ? 0 : 1
    case VFIO_EXTENSION.VFIO_NOIOMMU_IOMMU:
      return 1
    case VFIO_EXTENSION.VFIO_DMA_CC_IOMMU:
      return compatIoas(context, VFIO_CHECK_EXTENSION.name).hwpts.every((hwpt) => hwpt.enforcesCoherency) ? 1 : 0
    default:
      return 0
  }
}

const setIommu: Row<never> = {
  call: VFIO_SET_IOMMU,
  run(context, _input, caller, arg) {
    const type = Number(arg)
    const refuse = (errno: Errno): UapiError => new UapiError(errno, VFIO_SET_IOMMU.name, { type })
    if (context.noIommu) {
      if (type !== VFIO_EXTENSION.VFIO_NOIOMMU_IOMMU) throw refuse('EINVAL')
      if (!caller.process.can('CAP_SYS_RAWIO')) throw refuse('EPERM')
      return { ret: 0 }
    }
    if (type !== VFIO_EXTENSION.VFIO_TYPE1_IOMMU && type !== VFIO_EXTENSION.VFIO_TYPE1v2_IOMMU) throw refuse('EINVAL')
    const { table } = compatIoas(context, VFIO_SET_IOMMU.name)
    // Version 1 may unmap parts of mappings, so nothing may be mapped with large pages.
    if (type === VFIO_EXTENSION.VFIO_TYPE1_IOMMU) table.setLargePages(false)
    return { ret: 0 }
  },
}

const getInfo: Row<VfioIommuType1Info> = {
  call: VFIO_IOMMU_GET_INFO,
  run: (context, { argsz }, caller, arg) => ({
    ret: 0,
    out: containerInfo(compatIoas(context, VFIO_IOMMU_GET_INFO.name), caller, arg, argsz),
  }),
}

const mapDma: Row<VfioIommuType1DmaMap> = {
  call: VFIO_IOMMU_MAP_DMA,
  run(context, { flags, vaddr, iova, size }, caller) {
    const call = VFIO_IOMMU_MAP_DMA.name
    if ((flags & ~(VFIO_DMA_MAP_FLAG.READ | VFIO_DMA_MAP_FLAG.WRITE)) !== 0)
      throw new UapiError('EINVAL', call, { flags })
    const rights =
      (flags & VFIO_DMA_MAP_FLAG.READ ? MAP_FLAG.READABLE : 0) |
      (flags & VFIO_DMA_MAP_FLAG.WRITE ? MAP_FLAG.WRITEABLE : 0)
    const request = { flags: rights | MAP_FLAG.FIXED_IOVA, user_va: vaddr, iova, length: size }
    mapUser(context, compatIoas(context, call), caller, request)
    return { ret: 0 }
  },
}

const unmapDma: Row<VfioIommuType1DmaUnmap> = {
  call: VFIO_IOMMU_UNMAP_DMA,
  run(context, { flags, iova, size }) {
    const call = VFIO_IOMMU_UNMAP_DMA.name
    if ((flags & ~VFIO_DMA_UNMAP_FLAG.ALL) !== 0) throw new UapiError('EINVAL', call, { flags })
    const { table } = compatIoas(context, call)
    if (flags & VFIO_DMA_UNMAP_FLAG.ALL) {
      if (iova !== 0n || size !== 0n) throw new UapiError('EINVAL', call, { iova, size })
      return { ret: 0, out: { size: unmapped(table.unmap(0n, U64_MAX), { iova, size }) } }
    }
    if (!table.largePages) {
      table.cutBehind(BigInt.asUintN(64, iova + size - 1n))
      if (iova !== 0n) table.cutBehind(iova - 1n)
    }
    return { ret: 0, out: { size: unmapRange(table, iova, size) } }
  },
}

/** Refused with what was unmapped all the same written back. */
function unmapRange(table: Ioas['table'], iova: bigint, size: bigint): bigint {
  const last = iova + size - 1n
  if (size === 0n) return unmapped({ bytes: 0n, errno: 'EINVAL' }, { iova, size })
  if (last > U64_MAX) return unmapped({ bytes: 0n, errno: 'EOVERFLOW' }, { iova, size })
  return unmapped(table.unmap(iova, last), { iova, size })
}
function unmapped({ bytes, errno }: Unmapped, asked: { readonly iova: bigint; readonly size: bigint }): bigint {
  if (errno) throw new UapiError(errno, VFIO_IOMMU_UNMAP_DMA.name, asked, { size: bytes })
  return bytes
}

/** The rows. A container's call that stands in none is ENOTTY (VFIO_IOMMU_DIRTY_PAGES). */
export const containerTable: IoctlTable = {
  file: 'iommufd',
  convention: VFIO_CONVENTION,
  rows: [getApiVersion, checkExtension, setIommu, getInfo, mapDma, unmapDma],
}
