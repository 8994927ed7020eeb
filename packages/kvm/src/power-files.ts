/** What KVM's files answer on POWER besides, or in another way: arch/powerpc/kvm/powerpc.c. */
import {
  type Caller,
  installFile,
  IoctlDispatch,
  type IoctlRow,
  type IoctlTable,
  KVM_CONVENTION,
  UapiError,
} from '@ioasis/core'
import { KVM_CAP_PPC_ENABLE_HCALL, KVM_ENABLE_CAP, KVM_GET_REGS_POWER, KVM_SET_REGS_POWER } from './power-uapi.ts'
import type { PowerVcpu } from './power-vcpu.ts'
import { type CreateSpaprTce64, KVM_CREATE_SPAPR_TCE, KVM_CREATE_SPAPR_TCE_64 } from './tce-uapi.ts'
import { RUN_TABLE, type VcpuFile } from './vcpu-file.ts'
import type { KvmVm } from './vm.ts'

/** Leaves the row's types to the table, where they are not known. */
const row = <File, T>(one: IoctlRow<File, T>): IoctlRow<File, T> => one
interface OfVm {
  readonly vm: KvmVm
}
const DEFAULT_SHIFT = 12

/** What VMs of POWER have besides. */
export const POWER_VM: IoctlTable = {
  file: 'kvm-vm',
  convention: KVM_CONVENTION,
  rows: [
    row({
      call: KVM_CREATE_SPAPR_TCE,
      run: ({ vm }: OfVm, { liobn, window_size }, caller) => {
        const size = BigInt(window_size >>> DEFAULT_SHIFT)
        return { ret: tableFile(vm, caller, { liobn, page_shift: DEFAULT_SHIFT, flags: 0, offset: 0n, size }) }
      },
    }),
    row({
      call: KVM_CREATE_SPAPR_TCE_64,
      run: ({ vm }: OfVm, args, caller) => ({ ret: tableFile(vm, caller, args) }),
    }),
    row({
      call: KVM_ENABLE_CAP,
      run: ({ vm }: OfVm, { cap, flags, args }) => {
        const [number = 0n, on = 0n] = args
        if (
          flags !== 0 ||
          cap !== KVM_CAP_PPC_ENABLE_HCALL ||
          on > 1n ||
          !vm.enableHypercall(Number(number), on === 1n)
        )
          throw new UapiError('EINVAL', 'KVM_ENABLE_CAP', { cap, flags, number, on })
        return { ret: 0 }
      },
    }),
  ],
}

function tableFile({ tables }: KvmVm, caller: Caller, args: CreateSpaprTce64): number {
  if (!tables) throw new UapiError('ENOTTY', 'ioctl', { file: 'kvm-vm' })
  const table = tables.create(caller, args)
  try {
    const fd = installFile(caller, table, { cloexec: true, name: 'anon_inode:kvm-spapr-tce' })
    tables.add(table)
    return fd
  } catch (error) {
    tables.abandon(table)
    throw error
  }
}

const POWER_VCPU: IoctlTable = {
  file: 'kvm-vcpu',
  convention: KVM_CONVENTION,
  rows: [
    row({ call: KVM_GET_REGS_POWER, run: ({ vcpu }: VcpuFile<PowerVcpu>) => ({ ret: 0, out: vcpu.registers }) }),
    row({
      call: KVM_SET_REGS_POWER,
      run: ({ vcpu }: VcpuFile<PowerVcpu>, registers) => {
        vcpu.registers = registers
        return { ret: 0 }
      },
    }),
  ],
}
/** The tables that POWER adds. */
export const POWER_TABLES: readonly IoctlTable[] = [POWER_VM, POWER_VCPU]
/** What a vCPU of POWER answers. */
export const POWER_VCPU_DISPATCH: IoctlDispatch = new IoctlDispatch([RUN_TABLE, POWER_VCPU])
