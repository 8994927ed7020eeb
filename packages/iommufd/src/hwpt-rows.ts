/** IOMMU_HWPT_ALLOC and IOMMU_FAULT_QUEUE_ALLOC. drivers/iommu/iommufd/hw_pagetable.c, eventq.c. */
import { FdTable, installFile, type IoctlRow, UapiError } from '@ioasis/core'
import type { IommufdContext } from './context.ts'
import { Device } from './device.ts'
import { FaultFile } from './fault-file.ts'
import { FaultQueue } from './fault-queue.ts'
import { allocHwpt, HwptPaging } from './hwpt-paging.ts'
import { Ioas } from './ioas.ts'
import {
  HWPT_DATA_NONE,
  HWPT_FLAG,
  IOMMU_FAULT_QUEUE_ALLOC,
  IOMMU_HWPT_ALLOC,
  type IommuFaultAlloc,
  type IommuHwptAlloc,
} from './uapi.ts'

/** `__reserved2` is not looked at, and `fault_id` only with its flag. */
export const hwptAllocRow: IoctlRow<IommufdContext, IommuHwptAlloc> = {
  call: IOMMU_HWPT_ALLOC,
  run(context, input) {
    const call = IOMMU_HWPT_ALLOC.name
    const { flags, data_type, data_len, __reserved } = input
    if (__reserved !== 0) throw new UapiError('EOPNOTSUPP', call)
    if ((data_type === HWPT_DATA_NONE) !== (data_len === 0))
      throw new UapiError('EINVAL', call, { data_type, data_len })
    const device = context.objects.find(input.dev_id, Device)
    const hwpt = makeHwpt(context, device, input)
    if (flags & HWPT_FLAG.FAULT_ID_VALID) {
      try {
        hwpt.fault = context.objects.find(input.fault_id, FaultQueue)
        hwpt.fault.users++
      } catch (error) {
        context.objects.destroyIfUnused(hwpt)
        throw error
      }
    }
    return { ret: 0, out: { out_hwpt_id: hwpt.id } }
  },
  abort: (context, { out_hwpt_id }) => context.objects.destroy(out_hwpt_id as number),
}

function makeHwpt(context: IommufdContext, device: Device, input: IommuHwptAlloc): HwptPaging {
  const call = IOMMU_HWPT_ALLOC.name
  const { pt_id, flags, data_len } = input
  const target = context.objects.peek(pt_id)
  if (target instanceof Ioas) {
    // No driver takes data for a domain of the kernel's own.
    if (data_len !== 0) throw new UapiError('EOPNOTSUPP', call, { data_len })
    return allocHwpt(context.objects, target, device, flags)
  }
  if (target instanceof HwptPaging) throw refuseNested(device, flags, data_len)
  throw new UapiError('EINVAL', call, { pt_id })
}

/** No HWPT is made as a parent, so that a nested one has none (iommufd_hwpt_nested_alloc). */
function refuseNested(device: Device, flags: number, bytes: number): UapiError {
  const known = (flags & ~(HWPT_FLAG.FAULT_ID_VALID | HWPT_FLAG.PASID)) === 0
  const reachesParent = known && bytes !== 0 && device.iommu.driver.nestedDomains === true
  return new UapiError(reachesParent ? 'EINVAL' : 'EOPNOTSUPP', IOMMU_HWPT_ALLOC.name, { flags, data_len: bytes })
}

/** The descriptor is closed on exec, as every one the kernel makes here. */
export const faultQueueRow: IoctlRow<IommufdContext, IommuFaultAlloc> = {
  call: IOMMU_FAULT_QUEUE_ALLOC,
  run(context, { flags }, caller) {
    if (flags !== 0) throw new UapiError('EOPNOTSUPP', IOMMU_FAULT_QUEUE_ALLOC.name, { flags })
    let fd = 0
    const queue = context.objects.create(new FaultQueue(), (made) => {
      fd = installFile(caller, new FaultFile(context, made), { cloexec: true, name: 'anon_inode:[iommufd-pgfault]' })
    })
    return { ret: 0, out: { out_fault_id: queue.id, out_fault_fd: fd } }
  },
  abort(context, { out_fault_id, out_fault_fd }, caller) {
    FdTable.of(caller.process).close(out_fault_fd as number, caller)
    context.objects.destroy(out_fault_id as number)
  },
}
