/** Calls and structs of KVM's TCE tables: include/uapi/linux/kvm.h, arch/powerpc/include/uapi/asm/kvm.h. */
import { _IOW, type CStruct, type IoctlCall, ioctlCall, s32, struct, u32, u64 } from '@ioasis/core'

const KVMIO = 0xae

/** struct kvm_create_spapr_tce. */
export interface CreateSpaprTce {
  readonly liobn: bigint
  /** Bytes, pages of 4 KiB. */
  readonly window_size: number
}
/** struct kvm_create_spapr_tce_64. */
export interface CreateSpaprTce64 {
  readonly liobn: bigint
  readonly page_shift: number
  readonly flags: number
  /** First page on the bus. */
  readonly offset: bigint
  /** Pages. */
  readonly size: bigint
}
/** struct kvm_vfio_spapr_tce: the value of KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE. */
export interface VfioSpaprTce {
  readonly groupfd: number
  readonly tablefd: number
}
/** Layout of struct kvm_create_spapr_tce. */
export const CREATE_SPAPR_TCE: CStruct<CreateSpaprTce> = struct('kvm_create_spapr_tce', {
  liobn: u64,
  window_size: u32,
})
/** Layout of struct kvm_create_spapr_tce_64. */
export const CREATE_SPAPR_TCE_64: CStruct<CreateSpaprTce64> = struct('kvm_create_spapr_tce_64', {
  liobn: u64,
  page_shift: u32,
  flags: u32,
  offset: u64,
  size: u64,
})
/** Layout of struct kvm_vfio_spapr_tce. */
export const VFIO_SPAPR_TCE: CStruct<VfioSpaprTce> = struct('kvm_vfio_spapr_tce', { groupfd: s32, tablefd: s32 })

/** The attribute of a kvm-vfio device that links a group's tables to a table of the VM; POWER alone has it. */
export const KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE = 3n

/** On a VM of POWER. Returns a descriptor. */
export const KVM_CREATE_SPAPR_TCE: IoctlCall<CreateSpaprTce> = ioctlCall(
  'KVM_CREATE_SPAPR_TCE',
  _IOW(KVMIO, 0xa8, CREATE_SPAPR_TCE.size),
  CREATE_SPAPR_TCE,
)
/** The same for any page size and place. */
export const KVM_CREATE_SPAPR_TCE_64: IoctlCall<CreateSpaprTce64> = ioctlCall(
  'KVM_CREATE_SPAPR_TCE_64',
  _IOW(KVMIO, 0xa8, CREATE_SPAPR_TCE_64.size),
  CREATE_SPAPR_TCE_64,
)
