/** The file of a vCPU: virt/kvm/kvm_main.c kvm_vcpu_ioctl. */
import { type Caller, type FileOps, type IoctlDispatch, type Mapping, type MmapRequest, UapiError } from '@ioasis/core'
import type { KvmVm } from './vm.ts'

/** A vCPU of any architecture, as its file sees it. */
export interface AnyVcpu {
  /** Its struct kvm_run, for the program. */
  map(request: MmapRequest): Mapping
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
