/** Calls of HWPTs. drivers/iommu/iommufd/hw_pagetable.c. */
import {
  type AnyIoctlRow,
  type Caller,
  type IoctlRow,
  sameUnit,
  UapiError,
  UserData,
  UserDataArray,
} from '@ioasis/core'
import type { IommufdContext } from './context.ts'
import { Device } from './device.ts'
import { readDirtyBitmap, setDirtyTracking } from './dirty.ts'
import { FaultQueue } from './fault-queue.ts'
import { answerThrough, type Hwpt } from './hwpt.ts'
import { allocNested, allocOnViommu, HwptNested } from './hwpt-nested.ts'
import { allocHwpt, HwptPaging } from './hwpt-paging.ts'
import { Ioas } from './ioas.ts'
import * as uapi from './uapi.ts'
import { ViommuObject } from './viommu.ts'

const row = <T>(made: IoctlRow<IommufdContext, T>): AnyIoctlRow => made

/** Most entries of one invalidation. */
const MOST_ENTRIES = 1 << 19

/** `__reserved2` is not looked at, and `fault_id` only with its flag. */
const allocRow: AnyIoctlRow = row({
  call: uapi.IOMMU_HWPT_ALLOC,
  run(context, input, caller) {
    const call = 'IOMMU_HWPT_ALLOC'
    const { data_type, data_len, __reserved } = input
    if (__reserved !== 0) throw new UapiError('EOPNOTSUPP', call)
    if ((data_type === uapi.HWPT_DATA_NONE) !== (data_len === 0))
      throw new UapiError('EINVAL', call, { data_type, data_len })
    const device = context.objects.find(input.dev_id, Device)
    return { ret: 0, out: { out_hwpt_id: alloc(context, device, input, caller).id } }
  },
  abort: (context, { out_hwpt_id }) => context.objects.destroy(out_hwpt_id as number),
})

function alloc(context: IommufdContext, device: Device, input: uapi.IommuHwptAlloc, caller: Caller): Hwpt {
  const { objects } = context
  const { pt_id, flags, data_len: bytes } = input
  const data = new UserData(caller, { type: input.data_type, uva: input.data_uptr, bytes })
  // The queue is looked for last, and the HWPT given up without one.
  const made = (hwpt: Hwpt): void => {
    if (flags & uapi.HWPT_FLAG.FAULT_ID_VALID) answerThrough(hwpt, objects.find(input.fault_id, FaultQueue))
  }
  const target = objects.peek(pt_id)
  if (target instanceof Ioas)
    return allocHwpt(objects, target, device, { flags, data: bytes === 0 ? undefined : data }, { made })
  if (target instanceof HwptPaging) return allocNested(objects, target, device, { flags, data, made })
  if (target instanceof ViommuObject && sameUnit(target.iommu, device.iommu))
    return allocOnViommu(objects, target, { flags, data, made })
  throw new UapiError('EINVAL', 'IOMMU_HWPT_ALLOC', { pt_id })
}

/** Only nested HWPTs and virtual IOMMUs can be invalidated. The number of entries done is written back in any case. */
const invalidateRow: AnyIoctlRow = row({
  call: uapi.IOMMU_HWPT_INVALIDATE,
  run(context, input, caller) {
    const entries = new UserDataArray(caller, {
      type: input.data_type,
      uva: input.data_uptr,
      entryBytes: input.entry_len,
      count: input.entry_num,
    })
    try {
      invalidate(context, input, entries)
    } catch (error) {
      if (!(error instanceof UapiError)) throw error
      throw new UapiError(error.errno, 'IOMMU_HWPT_INVALIDATE', error.context, { entry_num: entries.done })
    }
    return { ret: 0, out: { entry_num: entries.done } }
  },
})

function invalidate({ objects, parts }: IommufdContext, input: uapi.IommuHwptInvalidate, entries: UserDataArray): void {
  const call = 'IOMMU_HWPT_INVALIDATE'
  const { entry_num, entry_len, data_uptr, hwpt_id, __reserved } = input
  if (__reserved !== 0) throw new UapiError('EOPNOTSUPP', call)
  const bad = data_uptr === 0n || entry_len === 0 || entry_len > parts.pageBytes || entry_num > MOST_ENTRIES
  if (entry_num !== 0 && bad) throw new UapiError('EINVAL', call, { entry_num, entry_len })
  const target = objects.get(hwpt_id)
  if (!(target instanceof HwptNested) && !(target instanceof ViommuObject)) throw new UapiError('EINVAL', call)
  const on = target instanceof HwptNested ? target.domain : target.viommu
  if (!on.invalidate) throw new UapiError('EOPNOTSUPP', call)
  on.invalidate(entries)
}

const dirtyRows: readonly AnyIoctlRow[] = [
  row({
    call: uapi.IOMMU_HWPT_SET_DIRTY_TRACKING,
    // `__reserved` is not looked at.
    run({ objects }, { flags, hwpt_id }) {
      const { ENABLE } = uapi.SET_DIRTY_FLAG
      if ((flags & ~ENABLE) !== 0) throw new UapiError('EOPNOTSUPP', 'IOMMU_HWPT_SET_DIRTY_TRACKING', { flags })
      setDirtyTracking(objects.find(hwpt_id, HwptPaging), (flags & ENABLE) !== 0)
      return { ret: 0 }
    },
  }),
  row({
    call: uapi.IOMMU_HWPT_GET_DIRTY_BITMAP,
    run({ objects }, input, caller) {
      const { flags, __reserved, hwpt_id } = input
      if ((flags & ~uapi.GET_DIRTY_FLAG.NO_CLEAR) !== 0 || __reserved !== 0) {
        throw new UapiError('EOPNOTSUPP', 'IOMMU_HWPT_GET_DIRTY_BITMAP', { flags })
      }
      readDirtyBitmap(objects.find(hwpt_id, HwptPaging), caller, input)
      return { ret: 0 }
    },
  }),
]

/** All of them. */
export const hwptRows: readonly AnyIoctlRow[] = [allocRow, ...dirtyRows, invalidateRow]
