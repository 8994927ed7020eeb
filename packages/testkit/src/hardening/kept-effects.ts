/**
 * Steps on which Linux keeps an effect although the call failed, or answers in spite of the failure: what cannot be tried again
 * in place. Each has the kernel's file and function.
 */
import type { FailedPoint, FailureKind } from '@ioasis/core'
import type { TraceStep } from '../traces/trace-file.ts'

/** One kind of step. */
export interface KeptEffect {
  /** As in a trace. */
  readonly op: RegExp
  readonly kind: FailureKind
  /** Of the point that failed; default: any. */
  readonly what?: RegExp
  /** What the call answers; default: ENOMEM, EFAULT for what could not be copied out. `recorded`: as if nothing had failed. */
  readonly answers?: string
  readonly reason: string
}

const RESPOND = 'the effect stands, the answer alone is lost'
const WHOLE_PROGRAM =
  'several calls in one step: what was made before the one that failed stays with the virtual machine'
/** Of iommufd, VFIO and the mock. */
export const KEPT_EFFECTS: readonly KeptEffect[] = [
  {
    op: /^IOMMU_IOAS_(?:MAP|MAP_FILE|COPY|UNMAP)$/,
    kind: 'copy-out',
    reason: `${RESPOND}: drivers/iommu/iommufd/ioas.c iommufd_ioas_map, iommufd_ioas_map_file, iommufd_ioas_copy, iommufd_ioas_unmap`,
  },
  {
    op: /^VFIO_IOMMU_UNMAP_DMA$/,
    kind: 'copy-out',
    reason: `${RESPOND}: drivers/vfio/vfio_iommu_type1.c vfio_iommu_type1_unmap_dma, drivers/iommu/iommufd/vfio_compat.c iommufd_vfio_unmap_dma`,
  },
  {
    op: /^VFIO_DEVICE_ATTACH_IOMMUFD_PT$/,
    kind: 'copy-out',
    reason:
      'the device is detached, whatever it was attached to before: drivers/vfio/device_cdev.c vfio_df_ioctl_attach_pt',
  },
  {
    op: /^MOCK_(?:DOMAIN_)?REPLACE$/,
    kind: 'copy-out',
    reason: `${RESPOND}: drivers/iommu/iommufd/selftest.c iommufd_test_mock_domain_replace`,
  },
  {
    op: /^MOCK_TRIGGER_IOPF$/,
    kind: 'queue',
    answers: 'recorded',
    reason:
      'the call has no answer for it, the request is answered as failed: drivers/iommu/iommufd/eventq.c iommufd_fault_iopf_handler',
  },
  {
    op: /^MOCK_TRIGGER_VEVENT$/,
    kind: 'queue',
    reason: 'the event counts as lost, and has a number: drivers/iommu/iommufd/driver.c iommufd_viommu_report_event',
  },
  {
    op: /^KVM_CREATE_DEVICE$/,
    kind: 'copy-out',
    reason: 'the descriptor is there, its number alone is lost: virt/kvm/kvm_main.c kvm_vm_ioctl',
  },
  {
    op: /^VFIO_DEVICE_FEATURE$/,
    kind: 'descriptor',
    what: /mig/,
    reason:
      'the state has changed, its file is lost: drivers/vfio/vfio_main.c vfio_ioctl_device_feature_mig_device_state',
  },
  {
    op: /^VFIO_DEVICE_FEATURE$/,
    kind: 'copy-out',
    what: /MIG_DEVICE_STATE/,
    reason: 'likewise',
  },
  {
    op: /^kvm_run_wbinvd$/,
    kind: 'descriptor',
    answers: 'recorded',
    reason: WHOLE_PROGRAM,
  },
  {
    op: /^kvm_run_wbinvd$/,
    kind: 'copy-out',
    answers: 'recorded',
    reason: WHOLE_PROGRAM,
  },
  {
    op: /^sysfs_write$/,
    kind: 'table',
    answers: 'recorded',
    reason:
      'a function for which there is no domain is there all the same, without a driver: drivers/iommu/iommu.c iommu_bus_notifier',
  },
]

/** @returns the row for a step whose point failed */
export function keptEffect(
  table: readonly KeptEffect[],
  { op }: TraceStep,
  failed: FailedPoint,
): KeptEffect | undefined {
  return table.find((row) => row.op.test(op) && row.kind === failed.kind && (row.what?.test(failed.what) ?? true))
}
