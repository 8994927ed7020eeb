/** A hypervisor's user space in few lines: one page of guest memory, one vCPU, devices handed over to KVM. */
import { Client, type Host, type PciFunction, Processes, Sysfs, type Uva } from '@ioasis/core'
import {
  KVM_CREATE_DEVICE,
  KVM_CREATE_VCPU,
  KVM_CREATE_VM,
  KVM_DEV_TYPE_VFIO,
  KVM_DEV_VFIO_FILE,
  KVM_DEV_VFIO_FILE_ADD,
  KVM_GET_SREGS,
  KVM_RUN,
  KVM_SET_DEVICE_ATTR,
  KVM_SET_REGS,
  KVM_SET_SREGS,
  KVM_SET_USER_MEMORY_REGION,
} from '@ioasis/kvm'

const PAGE = 4096

/** Machine code of guests: what kvm's vCPU executes in real mode, with both segments at 0. */
export const GUEST_CODE: {
  readonly wbinvd: readonly number[]
  readonly hlt: readonly number[]
  /** Copies bytes of guest memory one by one through AL. */
  readonly copy: (from: number, to: number, bytes: number) => readonly number[]
} = {
  wbinvd: [0x0f, 0x09],
  hlt: [0xf4],
  copy: (from, to, bytes) =>
    Array.from({ length: bytes }, (_, i) => [0xa0, ...word(from + i), 0xa2, ...word(to + i)]).flat(),
}
const word = (offset: number): number[] => [offset & 0xff, offset >> 8]

/** One VM of a process of its own. */
export class VirtualMachine {
  readonly vmm: Client
  /** Guest memory: gpa 0 to 0xfff. */
  readonly memory: Uva
  readonly bytes: number = PAGE
  readonly #vm: number
  readonly #vcpu: number
  #vfio: number | undefined

  constructor(host: Host) {
    const vmm = new Client(host, host.get(Processes).spawn({ name: 'vmm' }))
    this.vmm = vmm
    this.memory = vmm.mmap({ bytes: PAGE, shared: true })
    this.#vm = vmm.ioctl(vmm.open('/dev/kvm'), KVM_CREATE_VM)
    vmm.ioctl(this.#vm, KVM_SET_USER_MEMORY_REGION, { memory_size: BigInt(PAGE), userspace_addr: this.memory })
    this.#vcpu = vmm.ioctl(this.#vm, KVM_CREATE_VCPU)
    const { cs, ds, cr0 } = vmm.ioctl(this.#vcpu, KVM_GET_SREGS, {})
    vmm.ioctl(this.#vcpu, KVM_SET_SREGS, { cs: { ...cs, base: 0n, selector: 0 }, ds, cr0 })
  }
  /** Tells KVM of a device file. @throws UapiError what KVM refuses it with */
  give(device: number): void {
    const { vmm } = this
    this.#vfio ??= vmm.ioctl(this.#vm, KVM_CREATE_DEVICE, { type: KVM_DEV_TYPE_VFIO }).fd
    const addr = vmm.put(new Uint8Array(Int32Array.of(device).buffer))
    vmm.ioctl(this.#vfio, KVM_SET_DEVICE_ATTR, { group: KVM_DEV_VFIO_FILE, attr: KVM_DEV_VFIO_FILE_ADD, addr })
  }
  /** Puts code at gpa 0 and runs it until it halts. */
  run(...code: readonly (readonly number[])[]): void {
    this.vmm.poke(this.memory, Uint8Array.from(code.flat()))
    this.vmm.ioctl(this.#vcpu, KVM_SET_REGS, { rip: 0n, rflags: 2n })
    this.vmm.ioctl(this.#vcpu, KVM_RUN)
  }
}

/** The device file of a function that vfio-pci has: /dev/vfio/devices/vfioN. */
export function deviceNode(host: Host, fn: PciFunction): string {
  const [name] = host.get(Sysfs).list(`/sys/bus/pci/devices/${fn.name}/vfio-dev`)
  return `/dev/vfio/devices/${name ?? ''}`
}
