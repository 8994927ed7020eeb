/** Calls and structs of KVM that are POWER's own: arch/powerpc/include/uapi/asm/kvm.h, include/uapi/linux/kvm.h. */
import { _IOR, _IOW, array, type CStruct, type IoctlCall, ioctlCall, struct, u32, u64, u8 } from '@ioasis/core'

const KVMIO = 0xae

/** struct kvm_regs of POWER. */
export interface PowerRegisters {
  readonly pc: bigint
  /** cr, ctr, lr, xer. */
  readonly condition: readonly bigint[]
  readonly msr: bigint
  /** srr0, srr1, pid, sprg0 to sprg7. */
  readonly others: readonly bigint[]
  readonly gpr: readonly bigint[]
}
/** struct kvm_enable_cap. */
export interface EnableCap {
  readonly cap: number
  readonly flags: number
  readonly args: readonly bigint[]
  readonly pad: readonly number[]
}
/** What of struct kvm_run a hypercall uses: the guest's arguments, and the answer of its user. */
export interface HypercallExit {
  readonly nr: bigint
  readonly ret: bigint
  /** r4 to r12. */
  readonly args: readonly bigint[]
}
/** Layout of struct kvm_regs. */
export const POWER_REGISTERS: CStruct<PowerRegisters> = struct('kvm_regs', {
  pc: u64,
  condition: array(u64, 4),
  msr: u64,
  others: array(u64, 11),
  gpr: array(u64, 32),
})
/** Layout of struct kvm_enable_cap. */
export const ENABLE_CAP: CStruct<EnableCap> = struct('kvm_enable_cap', {
  cap: u32,
  flags: u32,
  args: array(u64, 4),
  pad: array(u8, 64),
})
/** Layout of the member `papr_hcall` of struct kvm_run, and where it lies. */
export const HYPERCALL_EXIT: CStruct<HypercallExit> = struct('papr_hcall', { nr: u64, ret: u64, args: array(u64, 9) })
/** Bytes into struct kvm_run. */
export const HYPERCALL_EXIT_AT = 32
/** KVM_EXIT_PAPR_HCALL: the user answers in KVM's place. */
export const KVM_EXIT_PAPR_HCALL = 19
/** KVM_CAP_PPC_ENABLE_HCALL: which hypercalls KVM answers itself. */
export const KVM_CAP_PPC_ENABLE_HCALL = 104

/** On a vCPU of POWER. */
export const KVM_GET_REGS_POWER: IoctlCall<PowerRegisters> = ioctlCall(
  'KVM_GET_REGS (POWER)',
  _IOR(KVMIO, 0x81, POWER_REGISTERS.size),
  POWER_REGISTERS,
)
export const KVM_SET_REGS_POWER: IoctlCall<PowerRegisters> = ioctlCall(
  'KVM_SET_REGS (POWER)',
  _IOW(KVMIO, 0x82, POWER_REGISTERS.size),
  POWER_REGISTERS,
)
/** On a VM of POWER. */
export const KVM_ENABLE_CAP: IoctlCall<EnableCap> = ioctlCall(
  'KVM_ENABLE_CAP',
  _IOW(KVMIO, 0xa3, ENABLE_CAP.size),
  ENABLE_CAP,
)
