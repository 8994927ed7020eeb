/** The file of a vCPU: virt/kvm/kvm_main.c kvm_vcpu_ioctl. */
import {
  type Caller,
  type FileOps,
  type IoctlDispatch,
  type IoctlTable,
  KVM_CONVENTION,
  type Mapping,
  type MmapRequest,
  UapiError,
} from '@ioasis/core'
import { KVM_RUN } from './uapi.ts'
import type { KvmVm } from './vm.ts'

/** A vCPU of any architecture, as its file sees it. */
export interface AnyVcpu {
  /** Its struct kvm_run, for the program. */
  map(request: MmapRequest): Mapping
  /** Executes until something is left to the user. */
  run(): void
}

/** What KVM_CREATE_VCPU gives a descriptor for. */
export class VcpuFile<V extends AnyVcpu> implements FileOps {
  readonly ioctlTables: readonly string[] = ['kvm-vcpu']
  readonly vcpu: V
  readonly vm: KvmVm
  readonly #dispatch: IoctlDispatch

  /** @param vm held for it @param dispatch the calls of its architecture */
  constructor(vcpu: V, vm: KvmVm, dispatch: IoctlDispatch) {
    this.vcpu = vcpu
    this.vm = vm
    this.#dispatch = dispatch
  }
  ioctl(caller: Caller, number: number, arg: bigint): number {
    this.vm.mustBeUsedBy(caller)
    if (!this.#dispatch.has(number)) throw new UapiError('EINVAL', 'ioctl', { file: 'kvm-vcpu', number })
    return this.#dispatch.run(this, caller, number, arg)
  }
  mmap(_caller: Caller, request: MmapRequest): Mapping {
    return this.vcpu.map(request)
  }
  release(): void {
    this.vm.put()
  }
}

/** KVM_RUN, which every architecture answers alike. */
export const RUN_TABLE: IoctlTable = {
  file: 'kvm-vcpu',
  convention: KVM_CONVENTION,
  rows: [
    {
      call: KVM_RUN,
      run({ vcpu }: VcpuFile<AnyVcpu>, _input: never, _caller: Caller, arg: bigint) {
        if (arg !== 0n) throw new UapiError('EINVAL', 'KVM_RUN', { arg })
        vcpu.run()
        return { ret: 0 }
      },
    },
  ],
}
