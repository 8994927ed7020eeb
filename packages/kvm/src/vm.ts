/** A virtual machine: memory slots, vCPUs, its kvm-vfio device, and what its WBINVD does to the host. */
import { type AddressSpace, type Caller, type Cpu, type Frames, type Trace, UapiError } from '@ioasis/core'
import { MemorySlots } from './memory-slots.ts'
import { NoncoherentCount } from './noncoherent-count.ts'
import { PowerVcpu } from './power-vcpu.ts'
import { HYPERCALL, hypercall, type HypercallAnswer } from './tce-hypercalls.ts'
import { TceTables } from './tce-table.ts'
import { type GuestMachine, Vcpu } from './vcpu.ts'
import { KvmVfioDevice } from './vfio-device.ts'

/** vCPU ids: KVM_MAX_VCPU_IDS of x86 is four for each of KVM_MAX_VCPUS. */
export const MAX_VCPUS = 4096
export const MAX_VCPU_IDS: number = MAX_VCPUS * 4

const KNOWN: ReadonlySet<number> = new Set(Object.values(HYPERCALL))

/** What VMs use of their host. */
export interface VmHost {
  readonly frames: Frames
  /** The CPU that runs vCPUs; copies to and from users go through the same one. */
  readonly cpu: Cpu
  readonly trace: Trace
  /** A POWER host, with the HV module: VMs have TCE tables. */
  readonly power?: boolean
  /** The VM is gone. */
  ended(vm: KvmVm): void
}

/** One VM; its descriptors and those of its vCPUs and devices keep it. */
export class KvmVm implements GuestMachine {
  readonly memory: MemorySlots
  readonly noncoherent: NoncoherentCount
  /** POWER: the tables its guest fills by hypercalls. */
  readonly tables: TceTables | undefined
  readonly #host: VmHost
  readonly #space: AddressSpace
  readonly #vcpus = new Map<number, Vcpu | PowerVcpu>()
  /** POWER: hypercalls that KVM answers itself, of those it can (arch/powerpc/kvm/book3s_hv.c default_hcall_list). */
  readonly #answered = new Set<number>([HYPERCALL.H_GET_TCE, HYPERCALL.H_PUT_TCE])
  #vfio: KvmVfioDevice | undefined
  #references = 1

  /** @param space the memory of the process that makes it: no other may use it */
  constructor(host: VmHost, space: AddressSpace) {
    this.#host = host
    this.#space = space
    this.memory = new MemorySlots(space)
    this.noncoherent = new NoncoherentCount(host.trace)
    this.tables = host.power ? new TceTables(host.frames, space, this) : undefined
  }
  get power(): boolean {
    return this.tables !== undefined
  }
  answers(number: number): boolean {
    return this.#answered.has(number)
  }
  /** KVM_CAP_PPC_ENABLE_HCALL. @returns false for one that KVM cannot answer */
  enableHypercall(number: number, on: boolean): boolean {
    if (!KNOWN.has(number)) return false
    if (on) this.#answered.add(number)
    else this.#answered.delete(number)
    return true
  }
  /** POWER: a hypercall of the guest, as far as KVM answers it itself. @param args r4 and up */
  hypercall(number: number, args: readonly bigint[]): HypercallAnswer {
    const { tables, memory } = this
    if (!tables) throw new Error('a hypercall of a guest that has none')
    const guest = {
      tables,
      uva: (gpa: bigint): bigint | undefined => memory.uva(gpa, 1),
      read: (gpa: bigint, into: Uint8Array): boolean => memory.read(gpa, into),
    }
    return hypercall(guest, number, args)
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
  addVcpu(id: bigint): Vcpu | PowerVcpu {
    if (id >= BigInt(MAX_VCPU_IDS) || this.#vcpus.size >= MAX_VCPUS)
      throw new UapiError('EINVAL', 'KVM_CREATE_VCPU', { id })
    const number = Number(id)
    if (this.#vcpus.has(number)) throw new UapiError('EEXIST', 'KVM_CREATE_VCPU', { id })
    const vcpu = this.power ? new PowerVcpu(number, this, this.#host.frames) : new Vcpu(number, this, this.#host.frames)
    this.#vcpus.set(number, vcpu)
    return vcpu
  }
  /** It could not be handed out. */
  forget(vcpu: Vcpu | PowerVcpu): void {
    this.#vcpus.delete(vcpu.id)
  }
  /** @throws UapiError EBUSY: there is one (virt/kvm/vfio.c kvm_vfio_create) */
  addVfio(): KvmVfioDevice {
    if (this.#vfio) throw new UapiError('EBUSY', 'KVM_CREATE_DEVICE')
    return (this.#vfio = new KvmVfioDevice(this, this.noncoherent, this.tables))
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
