/** /dev/kvm as far as device assignment needs it. */
export * from './plugin.ts'
export * from './uapi.ts'
export * from './tce-uapi.ts'
export { HCALL_ANSWER, HYPERCALL } from './tce-hypercalls.ts'
export {
  type EnableCap,
  HYPERCALL_EXIT,
  HYPERCALL_EXIT_AT,
  type HypercallExit,
  KVM_CAP_PPC_ENABLE_HCALL,
  KVM_ENABLE_CAP,
  KVM_EXIT_PAPR_HCALL,
  KVM_GET_REGS_POWER,
  KVM_SET_REGS_POWER,
  type PowerRegisters,
} from './power-uapi.ts'
