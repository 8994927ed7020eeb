/** A virtual machine: memory slots, vCPUs, its kvm-vfio device, and what its WBINVD does to the host. */
import { type AddressSpace, type Caller, type Cpu, type Frames, type Trace, UapiError } from '@ioasis/core'
import { MemorySlots } from './memory-slots.ts'
import { NoncoherentCount } from './noncoherent-count.ts'
import { type GuestMachine, Vcpu } from './vcpu.ts'
import { KvmVfioDevice } from './vfio-device.ts'

/** vCPU ids: KVM_MAX_VCPU_IDS of x86 is four for each of KVM_MAX_VCPUS. */
export const MAX_VCPUS = 4096
export const MAX_VCPU_IDS: number = MAX_VCPUS * 4

/** What VMs use of their host. */
export interface VmHost {
  readonly frames: Frames
  /** The CPU that runs vCPUs; copies to and from users go through the same one. */
  readonly cpu: Cpu
  readonly trace: Trace
  /** The VM is gone. */
  ended(vm: KvmVm): void
}

/** One VM; its descriptors and those of its vCPUs and devices keep it. */
export class KvmVm implements GuestMachine {
  readonly memory: MemorySlots
  readonly noncoherent: NoncoherentCount
  readonly #host: VmHost
  readonly #space: AddressSpace
  readonly #vcpus = new Map<number, Vcpu>()
  #vfio: KvmVfioDevice | undefined
  #references = 1

  /** @param space the memory of the process that makes it: no other may use it */
  constructor(host: VmHost, space: AddressSpace) {
    this.#host = host
    this.#space = space
    this.memory = new MemorySlots(space)
    this.noncoherent = new NoncoherentCount(host.trace)
  }
  /** Its kvm-vfio device, while there is one. */
  get vfio(): KvmVfioDevice | undefined {
    return this.#vfio
  }
  /** @throws UapiError EIO for another process than the one that made it (virt/kvm/kvm_main.c kvm_vm_ioctl) */
  mustBeUsedBy({ process }: Caller): void {
    if (process.addressSpace !== this.#space) throw new UapiError('EIO', 'ioctl', { file: 'kvm', pid: process.pid })
  }
  /** @throws UapiError EINVAL for an id beyond the limit, EEXIST */
  addVcpu(id: bigint): Vcpu {
    if (id >= BigInt(MAX_VCPU_IDS) || this.#vcpus.size >= MAX_VCPUS)
      throw new UapiError('EINVAL', 'KVM_CREATE_VCPU', { id })
    const number = Number(id)
    if (this.#vcpus.has(number)) throw new UapiError('EEXIST', 'KVM_CREATE_VCPU', { id })
    const vcpu = new Vcpu(number, this, this.#host.frames)
    this.#vcpus.set(number, vcpu)
    return vcpu
  }
  /** @throws UapiError EBUSY: there is one (virt/kvm/vfio.c kvm_vfio_create) */
  addVfio(): KvmVfioDevice {
    if (this.#vfio) throw new UapiError('EBUSY', 'KVM_CREATE_DEVICE')
    return (this.#vfio = new KvmVfioDevice(this, this.noncoherent))
  }
  /** The descriptor of its kvm-vfio device is gone; the next may be made. */
  removeVfio(device: KvmVfioDevice): void {
    if (this.#vfio === device) this.#vfio = undefined
    device.release()
  }
  /** A vCPU executed WBINVD: it reaches the host only while a device's DMA may be incoherent (arch/x86/kvm/x86.c kvm_emulate_wbinvd). */
  guestWbinvd(): void {
    const { cpu, trace } = this.#host
    const flushed = this.noncoherent.registered > 0
    trace.emit('guestWbinvd', { vm: this, flushed })
    if (!flushed) return
    cpu.wbinvd()
    trace.emit('wbinvd', { cpu: cpu.id })
  }
  get(): this {
    this.#references++
    return this
  }
  put(): void {
    if (--this.#references > 0) return
    for (const vcpu of this.#vcpus.values()) vcpu.free()
    this.#vcpus.clear()
    this.#host.ended(this)
  }
}
