/** A host with /dev/kvm, a program on it, and files that are what VFIO's are to a hypervisor. */
import { type AssignedFile, Client, createHost, type Host, Processes, Tracer } from '@ioasis/core'
import { kvm } from './plugin.ts'
import {
  KVM_CREATE_DEVICE,
  KVM_CREATE_VCPU,
  KVM_CREATE_VM,
  KVM_DEV_TYPE_VFIO,
  KVM_DEV_VFIO_FILE,
  KVM_GET_SREGS,
  KVM_SET_DEVICE_ATTR,
  KVM_SET_REGS,
  KVM_SET_SREGS,
  KVM_SET_USER_MEMORY_REGION,
} from './uapi.ts'

/** A file that can be handed to a VM; `coherent` may change while it is there. */
export interface FakeVfioFile extends AssignedFile {
  coherent: boolean
  vm: object | undefined
  released: boolean
}

/** @param coherent what the file answers */
export function vfioFile(coherent: boolean): FakeVfioFile {
  const file: FakeVfioFile = {
    coherent,
    vm: undefined,
    released: false,
    assigned: {
      valid: true,
      get enforcedCoherent() {
        return file.coherent
      },
      group: undefined,
      setVm: (vm) => {
        file.vm = vm
      },
    },
    release: () => {
      file.released = true
    },
  }
  return file
}

/** What the host told, in order: `register`, `unregister`, `wbinvd`, `flush`. */
export interface KvmWorld {
  readonly host: Host
  readonly vmm: Client
  readonly vm: number
  readonly told: string[]
}

/** A VM in a fresh host. @param cache the CPUs' caches are modelled */
export function kvmWorld(cache = false): KvmWorld {
  const host = createHost({ plugins: [kvm()], machine: { cache } })
  const told: string[] = []
  const trace = host.get(Tracer)
  trace.on('noncoherent', ({ registered }) => told.push(registered ? 'register' : 'unregister'))
  trace.on('guestWbinvd', () => told.push('wbinvd'))
  trace.on('wbinvd', () => told.push('flush'))
  const vmm = new Client(host, host.get(Processes).spawn())
  return { host, vmm, vm: vmm.ioctl(vmm.open('/dev/kvm'), KVM_CREATE_VM), told }
}

/** The VM's kvm-vfio device. @returns its descriptor */
export const vfioDevice = ({ vmm, vm }: KvmWorld): number =>
  vmm.ioctl(vm, KVM_CREATE_DEVICE, { type: KVM_DEV_TYPE_VFIO }).fd

/** KVM_SET_DEVICE_ATTR with a descriptor. @returns `ok` or the errno */
export function setFile({ vmm }: KvmWorld, device: number, attr: bigint, fd: number): string {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setInt32(0, fd, true)
  return (
    vmm.attempt(device, KVM_SET_DEVICE_ATTR, { group: KVM_DEV_VFIO_FILE, attr, addr: vmm.put(bytes) }).errno ?? 'ok'
  )
}

/** Guest-physical place of a program; the page behind it is free for data. */
export const CODE = 0x1000n

/** A vCPU in real mode at the first byte of a program. @returns its descriptor and where its memory lies */
export function vcpuWith(
  { vmm, vm }: KvmWorld,
  program: readonly number[],
  id = 0,
): { readonly vcpu: number; readonly memory: bigint } {
  const memory = vmm.mmap({ bytes: 0x2000, shared: true })
  vmm.poke(memory, Uint8Array.from(program))
  const place = {
    slot: id,
    guest_phys_addr: CODE + 0x10000n * BigInt(id),
    memory_size: 0x2000n,
    userspace_addr: memory,
  }
  vmm.ioctl(vm, KVM_SET_USER_MEMORY_REGION, place)
  const vcpu = vmm.ioctl(vm, KVM_CREATE_VCPU, id)
  const { cs, ds, others, tables, cr0, control, interrupt_bitmap } = vmm.ioctl(vcpu, KVM_GET_SREGS, {})
  vmm.ioctl(vcpu, KVM_SET_SREGS, {
    cs: { ...cs, base: 0n, selector: 0 },
    ds,
    others,
    tables,
    cr0,
    control,
    interrupt_bitmap,
  })
  vmm.ioctl(vcpu, KVM_SET_REGS, { rip: place.guest_phys_addr, rflags: 2n })
  return { vcpu, memory }
}
