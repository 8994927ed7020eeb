/**
 * The calls of a container with a SPAPR back end: drivers/vfio/vfio_iommu_spapr_tce.c tce_iommu_ioctl. What Linux asks before it
 * reads the struct is in `admit`, the rest in the rows. Two answers are no errno: an iova that is not a multiple of the
 * window's page is answered with 1, and so is an unmap beyond the window's end (the check is an `||` of two results).
 */
import {
  type Caller,
  type DmaWindow,
  type IoctlRow,
  type IoctlTable,
  TCE_ACCESS,
  type TceAccess,
  UapiError,
  VFIO_CONVENTION,
} from '@ioasis/core'
import {
  VFIO_DMA_MAP_FLAG,
  VFIO_EEH_PE_OP,
  VFIO_IOMMU_DISABLE,
  VFIO_IOMMU_ENABLE,
  VFIO_IOMMU_MAP_DMA,
  VFIO_IOMMU_SPAPR_INFO,
  VFIO_IOMMU_SPAPR_REGISTER_MEMORY,
  VFIO_IOMMU_SPAPR_TCE_CREATE,
  VFIO_IOMMU_SPAPR_TCE_GET_INFO,
  VFIO_IOMMU_SPAPR_TCE_REMOVE,
  VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY,
  VFIO_IOMMU_UNMAP_DMA,
  type VfioEehPeOp,
  type VfioIommuSpaprRegisterMemory,
  type VfioIommuSpaprTceCreate,
  type VfioIommuSpaprTceInfo,
  vfioIommuSpaprTceInfo,
  type VfioIommuSpaprTceRemove,
  type VfioIommuType1DmaMap,
  type VfioIommuType1DmaUnmap,
} from '@ioasis/uapi'
import type { SpaprContainer } from './container.ts'
import { recoverAll } from './recovery.ts'

const U64 = 1n << 64n
/** What a check that joins two results with `||` answers when one of them is an error. */
const REFUSED_WITH_1 = { ret: 1 } as const
const DONE = { ret: 0 } as const

/**
 * What is asked before the struct is read, and whose address space the container becomes.
 * @throws UapiError ENOTTY for a call of the other version, EPERM, ENXIO, ENODEV
 */
export function admit(container: SpaprContainer, caller: Caller, number: number): void {
  const what = ADMISSION[number]
  if (!what) return
  if (what.version !== undefined && what.version !== (container.v2 ? 2 : 1))
    throw new UapiError('ENOTTY', 'ioctl', { file: 'vfio-container', number })
  what.first?.(container, caller, what.name)
}

interface Admission {
  readonly name: string
  readonly version?: 1 | 2
  readonly first?: (container: SpaprContainer, caller: Caller, name: string) => void
}
type First = NonNullable<Admission['first']>

const needsGroups: First = (container, _caller, name) => {
  if (container.groups.length === 0) throw new UapiError('ENXIO', name)
}
const needsEnabled: First = (container, _caller, name) => {
  if (!container.enabled) throw new UapiError('EPERM', name)
}
const latches: First = (container, caller) => void container.latch(caller)
const latchesWithGroups: First = (container, caller, name) => {
  container.latch(caller)
  needsGroups(container, caller, name)
}
const needsLatch: First = (container, _caller, name) => {
  if (!container.space) throw new UapiError('EPERM', name)
}
const needsEndpoint: First = (container, _caller, name) => {
  if (!container.recoveries[0]) throw new UapiError('ENODEV', name)
}
const admission = (
  { name, number }: { readonly name: string; readonly number: number },
  first?: First,
  version?: 1 | 2,
): readonly [number, Admission] => [number, { name, ...(first && { first }), ...(version && { version }) }]

const ADMISSION: Readonly<Record<number, Admission>> = Object.fromEntries([
  admission(VFIO_IOMMU_SPAPR_TCE_GET_INFO, needsGroups),
  admission(VFIO_IOMMU_MAP_DMA, needsEnabled),
  admission(VFIO_IOMMU_UNMAP_DMA, needsEnabled),
  admission(VFIO_IOMMU_SPAPR_REGISTER_MEMORY, latches, 2),
  admission(VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY, needsLatch, 2),
  admission(VFIO_IOMMU_ENABLE, undefined, 1),
  admission(VFIO_IOMMU_DISABLE, undefined, 1),
  admission(VFIO_EEH_PE_OP, needsEndpoint),
  admission(VFIO_IOMMU_SPAPR_TCE_CREATE, latchesWithGroups, 2),
  admission(VFIO_IOMMU_SPAPR_TCE_REMOVE, latchesWithGroups, 2),
])

const getInfo: IoctlRow<SpaprContainer, VfioIommuSpaprTceInfo> = {
  call: VFIO_IOMMU_SPAPR_TCE_GET_INFO,
  run({ groups, v2 }, { argsz }) {
    const limits = groups[0]?.limits
    if (!limits) throw new UapiError('ENXIO', 'VFIO_IOMMU_SPAPR_TCE_GET_INFO')
    const { dma32, count, pageSizes, levels } = limits
    const dynamic = v2 && count !== 0
    const head = {
      argsz,
      flags: dynamic ? VFIO_IOMMU_SPAPR_INFO.DDW : 0,
      dma32_window_start: Number(dma32.first),
      dma32_window_size: Number(dma32.bytes),
    }
    const ddw = dynamic
      ? { pgsizes: pageSizes, max_dynamic_windows_supported: count, levels }
      : { pgsizes: 0n, max_dynamic_windows_supported: 0, levels: 0 }
    // Between the two sizes only the smaller is written.
    return { ret: 0, out: argsz >= vfioIommuSpaprTceInfo.size ? { ...head, ddw } : head }
  },
}

/** Linux forgets to ask whether the pages end inside the window, and writes behind the table. Here they must. */
function indexIn(window: DmaWindow, iova: bigint): number | undefined {
  const offset = iova - window.first
  const shift = BigInt(window.pageShift)
  return offset & ((1n << shift) - 1n) ? undefined : Number(offset >> shift)
}

const map: IoctlRow<SpaprContainer, VfioIommuType1DmaMap> = {
  call: VFIO_IOMMU_MAP_DMA,
  run(container, { flags, vaddr, iova, size }, caller) {
    const what = 'VFIO_IOMMU_MAP_DMA'
    if (flags & ~(VFIO_DMA_MAP_FLAG.READ | VFIO_DMA_MAP_FLAG.WRITE)) throw new UapiError('EINVAL', what, { flags })
    container.windows.makePreset(caller, container.latch(caller))
    const window = container.windows.at(iova, what)
    const shift = BigInt(window.pageShift)
    const inPage = (1n << shift) - 1n
    if ((size | vaddr) & inPage) throw new UapiError('EINVAL', what, { vaddr, size })
    const access = ((flags & VFIO_DMA_MAP_FLAG.READ ? TCE_ACCESS.READ : 0) |
      (flags & VFIO_DMA_MAP_FLAG.WRITE ? TCE_ACCESS.WRITE : 0)) as TceAccess
    if (access === TCE_ACCESS.NONE) throw new UapiError('EINVAL', what, { flags })
    const index = indexIn(window, iova)
    if (index === undefined) return REFUSED_WITH_1
    if (iova + size > window.first + window.bytes) throw new UapiError('EINVAL', what, { iova, size })
    container.entriesOf(window, caller).build({ index, count: Number(size >> shift), uva: vaddr, access })
    return DONE
  },
}

const unmap: IoctlRow<SpaprContainer, VfioIommuType1DmaUnmap> = {
  call: VFIO_IOMMU_UNMAP_DMA,
  run(container, { flags, iova, size }, caller) {
    const what = 'VFIO_IOMMU_UNMAP_DMA'
    if (flags !== 0) throw new UapiError('EINVAL', what, { flags })
    container.windows.makePreset(caller, container.latch(caller))
    const window = container.windows.at(iova, what)
    const shift = BigInt(window.pageShift)
    if (size & ((1n << shift) - 1n)) throw new UapiError('EINVAL', what, { size })
    const index = indexIn(window, iova)
    if (index === undefined || iova + size > window.first + window.bytes) return REFUSED_WITH_1
    container.entriesOf(window, caller).clear(index, Number(size >> shift))
    return DONE
  },
}

/** @returns pages @throws UapiError EINVAL for flags, or part of a page */
function wholePages(container: SpaprContainer, input: VfioIommuSpaprRegisterMemory, what: string): number {
  const { flags, vaddr, size } = input
  const page = BigInt(container.host.pageBytes)
  if (flags !== 0 || vaddr % page !== 0n || size % page !== 0n)
    throw new UapiError('EINVAL', what, { flags, vaddr, size })
  return Number(size / page)
}

const register: IoctlRow<SpaprContainer, VfioIommuSpaprRegisterMemory> = {
  call: VFIO_IOMMU_SPAPR_REGISTER_MEMORY,
  run(container, input, caller) {
    const { vaddr, size } = input
    const pages = wholePages(container, input, 'VFIO_IOMMU_SPAPR_REGISTER_MEMORY')
    if (vaddr + size >= U64) throw new UapiError('EINVAL', 'VFIO_IOMMU_SPAPR_REGISTER_MEMORY', { vaddr, size })
    return { ret: container.register(caller, vaddr, pages) }
  },
}
const unregister: IoctlRow<SpaprContainer, VfioIommuSpaprRegisterMemory> = {
  call: VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY,
  run(container, input, caller) {
    const pages = wholePages(container, input, 'VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY')
    container.unregister(caller, input.vaddr, pages)
    return DONE
  },
}

const create: IoctlRow<SpaprContainer, VfioIommuSpaprTceCreate> = {
  call: VFIO_IOMMU_SPAPR_TCE_CREATE,
  run(container, { flags, page_shift: pageShift, window_size: bytes, levels }, caller) {
    if (flags !== 0) throw new UapiError('EINVAL', 'VFIO_IOMMU_SPAPR_TCE_CREATE', { flags })
    const space = container.latch(caller)
    container.windows.makePreset(caller, space)
    return { ret: 0, out: { start_addr: container.windows.create(caller, space, { pageShift, bytes, levels }) } }
  },
}
const remove: IoctlRow<SpaprContainer, VfioIommuSpaprTceRemove> = {
  call: VFIO_IOMMU_SPAPR_TCE_REMOVE,
  run({ windows }, { flags, start_addr: iova }, caller) {
    if (flags !== 0) throw new UapiError('EINVAL', 'VFIO_IOMMU_SPAPR_TCE_REMOVE', { flags })
    if (windows.presetPending && iova === 0n) windows.presetPending = false
    else windows.remove(caller.process.addressSpace, iova)
    return DONE
  },
}

const enable: IoctlRow<SpaprContainer, never> = {
  call: VFIO_IOMMU_ENABLE,
  run(container, _input, caller) {
    container.enable(caller)
    return DONE
  },
}
const disable: IoctlRow<SpaprContainer, never> = {
  call: VFIO_IOMMU_DISABLE,
  run(container) {
    container.disable()
    return DONE
  },
}
const eehPeOp: IoctlRow<SpaprContainer, VfioEehPeOp> = {
  call: VFIO_EEH_PE_OP,
  run: ({ recoveries }, input, caller, arg) => ({ ret: recoverAll(recoveries, input, caller, arg) }),
}

/** The calls of a container with this back end. */
export const SPAPR_TABLE: IoctlTable = {
  file: 'vfio-container',
  convention: VFIO_CONVENTION,
  rows: [getInfo, map, unmap, register, unregister, enable, disable, create, remove, eehPeOp],
}
