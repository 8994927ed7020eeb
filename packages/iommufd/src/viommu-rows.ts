/** Calls of queues, virtual IOMMUs and what hangs on them. drivers/iommu/iommufd/viommu.c, eventq.c. */
import { type AnyIoctlRow, type Caller, type IoctlRow, UapiError, UserData } from '@ioasis/core'
import type { IommufdContext } from './context.ts'
import { Device } from './device.ts'
import { closeQueue, openQueue } from './event-file.ts'
import { FaultQueue } from './fault-queue.ts'
import { allocHwQueue } from './hw-queue.ts'
import { HwptPaging } from './hwpt-paging.ts'
import * as uapi from './uapi.ts'
import { allocVdevice } from './vdevice.ts'
import { Veventq } from './veventq.ts'
import { ViommuObject } from './viommu.ts'

const row = <T>(made: IoctlRow<IommufdContext, T>): AnyIoctlRow => made

/** Most events of one queue. */
const MOST_EVENTS = 1 << 19

const faultQueueRow: AnyIoctlRow = row({
  call: uapi.IOMMU_FAULT_QUEUE_ALLOC,
  run(context, { flags }, caller) {
    if (flags !== 0) throw new UapiError('EOPNOTSUPP', 'IOMMU_FAULT_QUEUE_ALLOC', { flags })
    const { id, fd } = openQueue(context, caller, () => new FaultQueue(context.parts.failures), '[iommufd-pgfault]')
    return { ret: 0, out: { out_fault_id: id, out_fault_fd: fd } }
  },
  abort(context, { out_fault_id, out_fault_fd }, caller) {
    closeQueue(context, caller, { id: out_fault_id as number, fd: out_fault_fd as number })
  },
})

const veventqRow: AnyIoctlRow = row({
  call: uapi.IOMMU_VEVENTQ_ALLOC,
  run(context, { flags, __reserved, type, veventq_depth: depth, viommu_id }, caller) {
    const call = 'IOMMU_VEVENTQ_ALLOC'
    // Type 0 is IOMMU_VEVENTQ_TYPE_DEFAULT: none.
    if (flags !== 0 || __reserved !== 0 || type === 0) throw new UapiError('EOPNOTSUPP', call, { flags, type })
    if (depth === 0 || depth > MOST_EVENTS) throw new UapiError('EINVAL', call, { depth })
    const viommu = context.objects.find(viommu_id, ViommuObject)
    if (viommu.veventqs.has(type)) throw new UapiError('EEXIST', call, { type })
    const { id, fd } = openQueue(
      context,
      caller,
      () => new Veventq(viommu, type, depth, context.parts.failures),
      '[iommufd-viommu-event]',
    )
    return { ret: 0, out: { out_veventq_id: id, out_veventq_fd: fd } }
  },
  abort(context, { out_veventq_id, out_veventq_fd }, caller) {
    closeQueue(context, caller, { id: out_veventq_id as number, fd: out_veventq_fd as number })
  },
})

/** A new slice. @throws UapiError EOPNOTSUPP, ENOENT, EINVAL; as the driver */
function allocViommu(context: IommufdContext, caller: Caller, input: uapi.IommuViommuAlloc): ViommuObject {
  const call = 'IOMMU_VIOMMU_ALLOC'
  const { flags, type, dev_id, hwpt_id, data_len: bytes, data_uptr: uva } = input
  // Type 0 is IOMMU_VIOMMU_TYPE_DEFAULT: none. `__reserved` is not looked at.
  if (flags !== 0 || type === 0) throw new UapiError('EOPNOTSUPP', call, { flags, type })
  const { iommu } = context.objects.find(dev_id, Device)
  const { viommu } = iommu
  if (!viommu?.has(type)) throw new UapiError('EOPNOTSUPP', call, { type })
  const parent = context.objects.find(hwpt_id, HwptPaging)
  if (!parent.nestParent) throw new UapiError('EINVAL', call, { hwpt_id })
  const data = bytes === 0 ? undefined : new UserData(caller, { type, uva, bytes })
  return context.objects.make(
    () => new ViommuObject(context, type, parent, iommu),
    (made) => made.init((frame) => viommu.alloc(frame, parent.domain, data)),
  )
}

/** All of them. */
export const viommuRows: readonly AnyIoctlRow[] = [
  faultQueueRow,
  row({
    call: uapi.IOMMU_VIOMMU_ALLOC,
    run: (context, input, caller) => ({
      ret: 0,
      out: { out_viommu_id: allocViommu(context, caller, input).id },
    }),
    abort: (context, { out_viommu_id }) => context.objects.destroy(out_viommu_id as number),
  }),
  row({
    call: uapi.IOMMU_VDEVICE_ALLOC,
    run: (context, input) => ({ ret: 0, out: { out_vdevice_id: allocVdevice(context, input).id } }),
    abort: (context, { out_vdevice_id }) => context.objects.destroy(out_vdevice_id as number),
  }),
  veventqRow,
  row({
    call: uapi.IOMMU_HW_QUEUE_ALLOC,
    run: (context, input) => ({ ret: 0, out: { out_hw_queue_id: allocHwQueue(context, input).id } }),
    abort: (context, { out_hw_queue_id }) => context.objects.destroy(out_hw_queue_id as number),
  }),
]
