/** Calls and structs of /dev/kvm that this package answers: include/uapi/linux/kvm.h, arch/x86/include/uapi/asm/kvm.h. */
import {
  _IO,
  _IOR,
  _IOW,
  _IOWR,
  array,
  bytes,
  type CStruct,
  type IoctlCall,
  ioctlCall,
  struct,
  u16,
  u32,
  u64,
  u8,
} from '@ioasis/core'

/** The type of all numbers. */
const KVMIO = 0xae

/** What KVM_GET_API_VERSION answers. */
export const KVM_API_VERSION = 12
/** include/uapi/linux/kvm.h enum kvm_device_type. */
export const KVM_DEV_TYPE_VFIO = 4
/** A flag of KVM_CREATE_DEVICE: only whether the type exists. */
export const KVM_CREATE_DEVICE_TEST = 1
/** The one group of attributes of a kvm-vfio device; KVM_DEV_VFIO_GROUP is its older name. */
export const KVM_DEV_VFIO_FILE = 1
/** Attributes of that group. The value is a descriptor, s32; KVM_DEV_VFIO_GROUP_ADD and _DEL are their older names. */
export const KVM_DEV_VFIO_FILE_ADD = 1n
export const KVM_DEV_VFIO_FILE_DEL = 2n
/** Why KVM_RUN came back. */
export const KVM_EXIT = { HLT: 5, INTR: 10, INTERNAL_ERROR: 17 } as const
/** What KVM_CHECK_EXTENSION is asked for. */
export const KVM_CAP = {
  USER_MEMORY: 3,
  NR_VCPUS: 9,
  NR_MEMSLOTS: 10,
  DESTROY_MEMORY_REGION_WORKS: 21,
  MAX_VCPUS: 66,
  DEVICE_CTRL: 89,
  CHECK_EXTENSION_VM: 105,
  MAX_VCPU_ID: 128,
} as const

const members = {
  create: { type: u32, fd: u32, flags: u32 },
  attribute: { flags: u32, group: u32, attr: u64, addr: u64 },
  region: { slot: u32, flags: u32, guest_phys_addr: u64, memory_size: u64, userspace_addr: u64 },
}

/** struct kvm_create_device. */
export interface CreateDevice {
  readonly type: number
  readonly fd: number
  readonly flags: number
}
/** struct kvm_device_attr. */
export interface DeviceAttribute {
  readonly flags: number
  readonly group: number
  readonly attr: bigint
  readonly addr: bigint
}
/** struct kvm_userspace_memory_region. */
export interface MemoryRegion {
  readonly slot: number
  readonly flags: number
  readonly guest_phys_addr: bigint
  readonly memory_size: bigint
  readonly userspace_addr: bigint
}
/** struct kvm_segment. */
export interface Segment {
  readonly base: bigint
  readonly limit: number
  readonly selector: number
  /** type, present, dpl, db, s, l, g, avl, unusable, padding. */
  readonly attributes: readonly number[]
}
/** struct kvm_dtable. */
export interface DescriptorTable {
  readonly base: bigint
  readonly limit: number
  readonly padding: readonly number[]
}
/** struct kvm_regs. */
export interface Registers {
  readonly rax: bigint
  /** rbx to r15, in the struct's order. */
  readonly others: readonly bigint[]
  readonly rip: bigint
  readonly rflags: bigint
}
/** struct kvm_sregs. */
export interface SpecialRegisters {
  readonly cs: Segment
  readonly ds: Segment
  /** es, fs, gs, ss, tr, ldt. */
  readonly others: readonly Segment[]
  /** gdt, idt. */
  readonly tables: readonly DescriptorTable[]
  readonly cr0: bigint
  /** cr2, cr3, cr4, cr8, efer, apic_base. */
  readonly control: readonly bigint[]
  readonly interrupt_bitmap: readonly bigint[]
}
/** The head of struct kvm_run. */
export interface RunHead {
  readonly request_interrupt_window: number
  readonly immediate_exit: number
  readonly padding1: Uint8Array
  readonly exit_reason: number
}

/** Layout of struct kvm_create_device. */
export const CREATE_DEVICE: CStruct<CreateDevice> = struct('kvm_create_device', members.create)
/** Layout of struct kvm_device_attr. */
export const DEVICE_ATTRIBUTE: CStruct<DeviceAttribute> = struct('kvm_device_attr', members.attribute)
/** Layout of struct kvm_userspace_memory_region. */
export const MEMORY_REGION: CStruct<MemoryRegion> = struct('kvm_userspace_memory_region', members.region)
const SEGMENT = struct('kvm_segment', { base: u64, limit: u32, selector: u16, attributes: array(u8, 10) })
const TABLE = struct('kvm_dtable', { base: u64, limit: u16, padding: array(u16, 3) })
/** Layout of struct kvm_regs. */
export const REGISTERS: CStruct<Registers> = struct('kvm_regs', {
  rax: u64,
  others: array(u64, 15),
  rip: u64,
  rflags: u64,
})
/** Layout of struct kvm_sregs. */
export const SPECIAL_REGISTERS: CStruct<SpecialRegisters> = struct('kvm_sregs', {
  cs: SEGMENT,
  ds: SEGMENT,
  others: array(SEGMENT, 6),
  tables: array(TABLE, 2),
  cr0: u64,
  control: array(u64, 6),
  interrupt_bitmap: array(u64, 4),
})
/** Layout of the head of struct kvm_run. */
export const RUN: CStruct<RunHead> = struct('kvm_run', {
  request_interrupt_window: u8,
  immediate_exit: u8,
  padding1: bytes(6),
  exit_reason: u32,
})

/** On /dev/kvm. */
export const KVM_GET_API_VERSION: IoctlCall<never> = ioctlCall('KVM_GET_API_VERSION', _IO(KVMIO, 0x00))
/** Argument: the VM's type. Returns a descriptor. */
export const KVM_CREATE_VM: IoctlCall<never> = ioctlCall('KVM_CREATE_VM', _IO(KVMIO, 0x01))
/** Argument: a number of `KVM_CAP`. Also on a VM. */
export const KVM_CHECK_EXTENSION: IoctlCall<never> = ioctlCall('KVM_CHECK_EXTENSION', _IO(KVMIO, 0x03))
/** Bytes that a vCPU's descriptor can be mapped for. */
export const KVM_GET_VCPU_MMAP_SIZE: IoctlCall<never> = ioctlCall('KVM_GET_VCPU_MMAP_SIZE', _IO(KVMIO, 0x04))
/** On a VM. Argument: the vCPU's id. Returns a descriptor. */
export const KVM_CREATE_VCPU: IoctlCall<never> = ioctlCall('KVM_CREATE_VCPU', _IO(KVMIO, 0x41))
export const KVM_SET_USER_MEMORY_REGION: IoctlCall<MemoryRegion> = ioctlCall(
  'KVM_SET_USER_MEMORY_REGION',
  _IOW(KVMIO, 0x46, MEMORY_REGION.size),
  MEMORY_REGION,
)
export const KVM_CREATE_DEVICE: IoctlCall<CreateDevice> = ioctlCall(
  'KVM_CREATE_DEVICE',
  _IOWR(KVMIO, 0xe0, CREATE_DEVICE.size),
  CREATE_DEVICE,
)
const attribute = (name: string, nr: number): IoctlCall<DeviceAttribute> =>
  ioctlCall(name, _IOW(KVMIO, nr, DEVICE_ATTRIBUTE.size), DEVICE_ATTRIBUTE)
/** On a device of a VM. */
export const KVM_SET_DEVICE_ATTR: IoctlCall<DeviceAttribute> = attribute('KVM_SET_DEVICE_ATTR', 0xe1)
export const KVM_GET_DEVICE_ATTR: IoctlCall<DeviceAttribute> = attribute('KVM_GET_DEVICE_ATTR', 0xe2)
export const KVM_HAS_DEVICE_ATTR: IoctlCall<DeviceAttribute> = attribute('KVM_HAS_DEVICE_ATTR', 0xe3)
/** On a vCPU. */
export const KVM_RUN: IoctlCall<never> = ioctlCall('KVM_RUN', _IO(KVMIO, 0x80))
export const KVM_GET_REGS: IoctlCall<Registers> = ioctlCall(
  'KVM_GET_REGS',
  _IOR(KVMIO, 0x81, REGISTERS.size),
  REGISTERS,
)
export const KVM_SET_REGS: IoctlCall<Registers> = ioctlCall(
  'KVM_SET_REGS',
  _IOW(KVMIO, 0x82, REGISTERS.size),
  REGISTERS,
)
export const KVM_GET_SREGS: IoctlCall<SpecialRegisters> = ioctlCall(
  'KVM_GET_SREGS',
  _IOR(KVMIO, 0x83, SPECIAL_REGISTERS.size),
  SPECIAL_REGISTERS,
)
export const KVM_SET_SREGS: IoctlCall<SpecialRegisters> = ioctlCall(
  'KVM_SET_SREGS',
  _IOW(KVMIO, 0x84, SPECIAL_REGISTERS.size),
  SPECIAL_REGISTERS,
)
