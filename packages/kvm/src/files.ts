/** The files of KVM and the calls each answers. */
import {
  type Caller,
  type FileOps,
  installFile,
  IoctlDispatch,
  type IoctlRow,
  type IoctlTable,
  KVM_CONVENTION,
  UapiError,
} from '@ioasis/core'
import { USER_SLOTS } from './memory-slots.ts'
import { POWER_EXTENSIONS } from './power-extensions.ts'
import { PowerVcpu } from './power-vcpu.ts'
import { POWER_VCPU_DISPATCH, POWER_VM } from './power-files.ts'
import {
  KVM_API_VERSION,
  KVM_CAP,
  KVM_CHECK_EXTENSION,
  KVM_CREATE_DEVICE,
  KVM_CREATE_DEVICE_TEST,
  KVM_CREATE_VCPU,
  KVM_CREATE_VM,
  KVM_DEV_TYPE_VFIO,
  KVM_GET_API_VERSION,
  KVM_GET_DEVICE_ATTR,
  KVM_GET_REGS,
  KVM_GET_SREGS,
  KVM_GET_VCPU_MMAP_SIZE,
  KVM_HAS_DEVICE_ATTR,
  KVM_SET_DEVICE_ATTR,
  KVM_SET_REGS,
  KVM_SET_SREGS,
  KVM_SET_USER_MEMORY_REGION,
} from './uapi.ts'
import { RUN_PAGES, type Vcpu } from './vcpu.ts'
import type { KvmVfioDevice } from './vfio-device.ts'
import { RUN_TABLE, VcpuFile } from './vcpu-file.ts'
import { KvmVm, MAX_VCPU_IDS, MAX_VCPUS, type VmHost } from './vm.ts'

/** Extensions that are there, with what the answer is; all others are 0. */
const EXTENSIONS: Readonly<Record<number, number>> = {
  [KVM_CAP.USER_MEMORY]: 1,
  [KVM_CAP.DESTROY_MEMORY_REGION_WORKS]: 1,
  [KVM_CAP.DEVICE_CTRL]: 1,
  [KVM_CAP.CHECK_EXTENSION_VM]: 1,
  [KVM_CAP.NR_VCPUS]: 1,
  [KVM_CAP.NR_MEMSLOTS]: USER_SLOTS,
  [KVM_CAP.MAX_VCPUS]: MAX_VCPUS,
  [KVM_CAP.MAX_VCPU_ID]: MAX_VCPU_IDS,
}
const extension = (power: boolean, arg: bigint): number => (power ? POWER_EXTENSIONS : EXTENSIONS)[Number(arg)] ?? 0

/** Leaves the row's types to the table, where they are not known. */
const row = <File, T>(one: IoctlRow<File, T>): IoctlRow<File, T> => one
const noArgument = (arg: bigint, operation: string): void => {
  if (arg !== 0n) throw new UapiError('EINVAL', operation, { arg })
}

const SYSTEM: IoctlTable = {
  file: 'kvm',
  convention: KVM_CONVENTION,
  rows: [
    row<KvmFile, never>({
      call: KVM_GET_API_VERSION,
      run: (_file, _input, _caller, arg) => {
        noArgument(arg, 'KVM_GET_API_VERSION')
        return { ret: KVM_API_VERSION }
      },
    }),
    row<KvmFile, never>({
      call: KVM_CREATE_VM,
      run: (file, _input, caller, arg) => {
        // POWER: 0 is what the host has, 1 the HV module, 2 the PR module, which is not there.
        if (arg > (file.power ? 1n : 0n)) throw new UapiError('EINVAL', 'KVM_CREATE_VM', { arg })
        return { ret: installFile(caller, file.newVm(caller), { cloexec: true, name: 'anon_inode:kvm-vm' }) }
      },
    }),
    row<KvmFile, never>({
      call: KVM_CHECK_EXTENSION,
      run: ({ power }, _i, _c, arg) => ({ ret: extension(power, arg) }),
    }),
    row<KvmFile, never>({
      call: KVM_GET_VCPU_MMAP_SIZE,
      run: (_file, _input, caller, arg) => {
        noArgument(arg, 'KVM_GET_VCPU_MMAP_SIZE')
        return { ret: RUN_PAGES * caller.process.addressSpace.pageBytes }
      },
    }),
  ],
}

const VM: IoctlTable = {
  file: 'kvm-vm',
  convention: KVM_CONVENTION,
  rows: [
    row<VmFile, never>({
      call: KVM_CREATE_VCPU,
      run: ({ vm }, _input, caller, arg) => {
        const vcpu = vm.addVcpu(arg)
        try {
          const file =
            vcpu instanceof PowerVcpu
              ? new VcpuFile(vcpu, vm.get(), POWER_VCPU_DISPATCH)
              : new VcpuFile(vcpu, vm.get(), VCPU_DISPATCH)
          return { ret: installFile(caller, file, { cloexec: true, name: `anon_inode:kvm-vcpu:${vcpu.id}` }) }
        } catch (error) {
          // Nobody got it, so that its number is free again (virt/kvm/kvm_main.c kvm_vm_ioctl_create_vcpu).
          vm.forget(vcpu)
          throw error
        }
      },
    }),
    row<VmFile, never>({
      call: KVM_CHECK_EXTENSION,
      run: ({ vm }, _i, _c, arg) => ({ ret: extension(vm.power, arg) }),
    }),
    row({
      call: KVM_SET_USER_MEMORY_REGION,
      run: ({ vm }: VmFile, region) => {
        vm.memory.set(region)
        return { ret: 0 }
      },
    }),
    row({
      call: KVM_CREATE_DEVICE,
      run: ({ vm }: VmFile, { type, flags }, caller) => {
        if (type !== KVM_DEV_TYPE_VFIO) throw new UapiError('ENODEV', 'KVM_CREATE_DEVICE', { type })
        if (flags & KVM_CREATE_DEVICE_TEST) return { ret: 0, out: {} }
        const file = new DeviceFile(vm.addVfio(), vm.get())
        return { ret: 0, out: { fd: installFile(caller, file, { cloexec: true, name: 'anon_inode:kvm-vfio' }) } }
      },
    }),
  ],
}

const DEVICE: IoctlTable = {
  file: 'kvm-device',
  convention: KVM_CONVENTION,
  rows: [
    row({
      call: KVM_SET_DEVICE_ATTR,
      run: ({ device }: DeviceFile, attribute, caller) => {
        device.setAttribute(caller, attribute)
        return { ret: 0 }
      },
    }),
    row({
      call: KVM_HAS_DEVICE_ATTR,
      run: ({ device }: DeviceFile, attribute) => {
        device.hasAttribute(attribute)
        return { ret: 0 }
      },
    }),
    // A kvm-vfio device offers nothing to read; `DeviceFile` refuses before the struct is looked at.
    row({
      call: KVM_GET_DEVICE_ATTR,
      run: () => {
        throw new UapiError('EPERM', 'KVM_GET_DEVICE_ATTR')
      },
    }),
  ],
}

const VCPU: IoctlTable = {
  file: 'kvm-vcpu',
  convention: KVM_CONVENTION,
  rows: [
    row({ call: KVM_GET_REGS, run: ({ vcpu }: VcpuFile<Vcpu>) => ({ ret: 0, out: vcpu.registers }) }),
    row({
      call: KVM_SET_REGS,
      run: ({ vcpu }: VcpuFile<Vcpu>, registers) => {
        vcpu.registers = registers
        return { ret: 0 }
      },
    }),
    row({ call: KVM_GET_SREGS, run: ({ vcpu }: VcpuFile<Vcpu>) => ({ ret: 0, out: vcpu.specialRegisters }) }),
    row({
      call: KVM_SET_SREGS,
      run: ({ vcpu }: VcpuFile<Vcpu>, registers) => {
        vcpu.specialRegisters = registers
        return { ret: 0 }
      },
    }),
  ],
}

/** The tables of all files of KVM. */
export const KVM_TABLES: readonly IoctlTable[] = [SYSTEM, VM, DEVICE, RUN_TABLE, VCPU]
const SYSTEM_DISPATCH = new IoctlDispatch([SYSTEM])
const VM_DISPATCH = new IoctlDispatch([VM])
const POWER_VM_DISPATCH = new IoctlDispatch([VM, POWER_VM])
const DEVICE_DISPATCH = new IoctlDispatch([DEVICE])
const VCPU_DISPATCH = new IoctlDispatch([RUN_TABLE, VCPU])

/** /dev/kvm, opened. */
export class KvmFile implements FileOps {
  readonly ioctlTables: readonly string[] = ['kvm']
  readonly #host: VmHost
  readonly #made: (vm: KvmVm) => void

  /** @param made told of each new VM */
  constructor(host: VmHost, made: (vm: KvmVm) => void) {
    this.#host = host
    this.#made = made
  }
  get power(): boolean {
    return this.#host.power === true
  }
  newVm(caller: Caller): VmFile {
    const vm = new KvmVm(this.#host, caller.process.addressSpace)
    this.#made(vm)
    return new VmFile(vm)
  }
  ioctl(caller: Caller, number: number, arg: bigint): number {
    if (!SYSTEM_DISPATCH.has(number)) throw new UapiError('EINVAL', 'ioctl', { file: 'kvm', number })
    return SYSTEM_DISPATCH.run(this, caller, number, arg)
  }
  release(): void {
    // VMs live on their own descriptors
  }
}

/** A VM's file. */
class VmFile implements FileOps {
  readonly ioctlTables: readonly string[] = ['kvm-vm']
  readonly vm: KvmVm
  constructor(vm: KvmVm) {
    this.vm = vm
  }
  ioctl(caller: Caller, number: number, arg: bigint): number {
    this.vm.mustBeUsedBy(caller)
    return (this.vm.power ? POWER_VM_DISPATCH : VM_DISPATCH).run(this, caller, number, arg)
  }
  release(): void {
    this.vm.put()
  }
}

/** The file of a kvm-vfio device. */
class DeviceFile implements FileOps {
  readonly ioctlTables: readonly string[] = ['kvm-device']
  readonly device: KvmVfioDevice
  readonly #vm: KvmVm
  constructor(device: KvmVfioDevice, vm: KvmVm) {
    this.device = device
    this.#vm = vm
  }
  ioctl(caller: Caller, number: number, arg: bigint): number {
    this.#vm.mustBeUsedBy(caller)
    if (number === KVM_GET_DEVICE_ATTR.number) throw new UapiError('EPERM', 'KVM_GET_DEVICE_ATTR')
    return DEVICE_DISPATCH.run(this, caller, number, arg)
  }
  release(): void {
    this.#vm.removeVfio(this.device)
    this.#vm.put()
  }
}
