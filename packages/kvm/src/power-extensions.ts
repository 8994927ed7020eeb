/**
 * What KVM_CHECK_EXTENSION answers on POWER with the HV module: arch/powerpc/kvm/powerpc.c kvm_vm_ioctl_check_extension, and
 * virt/kvm/kvm_main.c for what all architectures have. Of all others the answer is 0.
 */

/** KVM_MAX_VCPUS is NR_CPUS there; ids are counted by threads of a core. */
const MAX_VCPUS = 2048
const MAX_VCPU_IDS = 16384

/** By number, include/uapi/linux/kvm.h. */
export const POWER_EXTENSIONS: Readonly<Record<number, number>> = {
  /** USER_MEMORY */ 3: 1,
  /** NR_VCPUS */ 9: 1,
  /** NR_MEMSLOTS */ 10: 32767,
  /** SYNC_MMU */ 16: 1,
  /** DESTROY_MEMORY_REGION_WORKS */ 21: 1,
  /** SET_GUEST_DEBUG */ 23: 1,
  /** JOIN_MEMORY_REGIONS_WORKS */ 30: 1,
  /** IOEVENTFD */ 36: 1,
  /** INTERNAL_ERROR_DATA */ 40: 1,
  /** PPC_SEGSTATE */ 43: 1,
  /** PPC_UNSET_IRQ */ 53: 1,
  /** ENABLE_CAP */ 54: 1,
  /** PPC_IRQ_LEVEL */ 58: 1,
  /** SPAPR_TCE */ 63: 1,
  /** PPC_SMT */ 64: 1,
  /** MAX_VCPUS */ 66: MAX_VCPUS,
  /** PPC_HIOR */ 67: 1,
  /** PPC_PAPR */ 68: 1,
  /** ONE_REG */ 70: 1,
  /** PPC_GET_SMMU_INFO */ 78: 1,
  /** PPC_ALLOC_HTAB */ 80: 1,
  /** PPC_HTAB_FD */ 84: 1,
  /** DEVICE_CTRL */ 89: 1,
  /** PPC_RTAS */ 91: 1,
  /** IRQ_XICS */ 92: 1,
  /** SPAPR_MULTITCE */ 94: 1,
  /** ENABLE_CAP_VM */ 98: 1,
  /** PPC_FIXUP_HCALL */ 103: 1,
  /** PPC_ENABLE_HCALL */ 104: 1,
  /** CHECK_EXTENSION_VM */ 105: 1,
  /** SPAPR_TCE_64 */ 125: 1,
  /** MAX_VCPU_ID */ 128: MAX_VCPU_IDS,
  /** SPAPR_RESIZE_HPT */ 133: 1,
  /** PPC_MMU_RADIX */ 134: 1,
  /** IMMEDIATE_EXIT */ 136: 1,
  /** SPAPR_TCE_VFIO */ 142: 1,
  /** PPC_FWNMI */ 146: 1,
  /** PPC_SMT_POSSIBLE */ 147: 15,
  /** PPC_GET_CPU_CHAR */ 151: 1,
  /** HALT_POLL */ 182: 1,
  /** PPC_RPT_INVALIDATE */ 202: 1,
}
