/**
 * The kvm-vfio device of a VM: user space hands VFIO files to it, and it tells the VM whether DMA through any of them may be
 * incoherent. What a file is it asks the file itself (virt/kvm/vfio.c).
 */
import {
  type AssignedFile,
  type Caller,
  type DmaWindow,
  fileAt,
  type FileOps,
  type Group,
  holdFile,
  mayFail,
  type OpenFile,
  readUser,
  UapiError,
} from '@ioasis/core'
import type { NoncoherentCount } from './noncoherent-count.ts'
import type { TceTables } from './tce-table.ts'
import { KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE, VFIO_SPAPR_TCE } from './tce-uapi.ts'
import { type DeviceAttribute, KVM_DEV_VFIO_FILE, KVM_DEV_VFIO_FILE_ADD, KVM_DEV_VFIO_FILE_DEL } from './uapi.ts'

/** A file that says what it is to a hypervisor. */
const isAssigned = (ops: FileOps): ops is AssignedFile =>
  (ops as Partial<AssignedFile>).assigned !== undefined && (ops as AssignedFile).assigned.valid

interface Held {
  readonly file: OpenFile
  readonly ops: AssignedFile
  /** POWER: its group's tables are linked to tables of the VM. */
  linked: Group | undefined
}

/** Files of one VM. */
export class KvmVfioDevice {
  readonly #vm: object
  readonly #count: NoncoherentCount
  readonly #tables: TceTables | undefined
  readonly #files: Held[] = []
  #noncoherent = false

  /** @param vm what the files are told; @param count the VM's counter; @param tables the VM's TCE tables (POWER) */
  constructor(vm: object, count: NoncoherentCount, tables?: TceTables) {
    this.#vm = vm
    this.#count = count
    this.#tables = tables
  }
  /** Whether one of its files is not coherent: what it registered. */
  get noncoherent(): boolean {
    return this.#noncoherent
  }
  /** @throws UapiError ENXIO for an attribute it does not have (kvm_vfio_has_attr) */
  hasAttribute({ group, attr }: DeviceAttribute): void {
    if (group === KVM_DEV_VFIO_FILE && (attr === KVM_DEV_VFIO_FILE_ADD || attr === KVM_DEV_VFIO_FILE_DEL)) return
    if (group === KVM_DEV_VFIO_FILE && attr === KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE && this.#tables) return
    throw new UapiError('ENXIO', 'KVM_HAS_DEVICE_ATTR', { group, attr })
  }
  /** @throws UapiError ENXIO, EFAULT for a descriptor that cannot be read; as `add`, `remove` (kvm_vfio_set_attr) */
  setAttribute(caller: Caller, { group, attr, addr }: DeviceAttribute): void {
    if (group === KVM_DEV_VFIO_FILE && attr === KVM_DEV_VFIO_FILE_ADD) this.add(caller, readFd(caller, addr))
    else if (group === KVM_DEV_VFIO_FILE && attr === KVM_DEV_VFIO_FILE_DEL) this.remove(caller, readFd(caller, addr))
    else if (group === KVM_DEV_VFIO_FILE && attr === KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE && this.#tables)
      this.#link(caller, addr, this.#tables)
    else throw new UapiError('ENXIO', 'KVM_SET_DEVICE_ATTR', { group, attr })
  }
  /** @throws UapiError EBADF; EINVAL for a file that is not VFIO's; EEXIST, ENOMEM (kvm_vfio_file_add) */
  add(caller: Caller, fd: number): void {
    const ops = fileAt(caller, fd)
    if (!isAssigned(ops)) throw new UapiError('EINVAL', 'KVM_DEV_VFIO_FILE_ADD', { fd })
    const file = holdFile(caller, fd)
    if (this.#files.some((held) => held.file === file)) {
      file.put()
      throw new UapiError('EEXIST', 'KVM_DEV_VFIO_FILE_ADD', { fd })
    }
    try {
      mayFail(caller, 'kvm_vfio_file')
    } catch (error) {
      file.put()
      throw error
    }
    this.#files.push({ file, ops, linked: undefined })
    ops.assigned.setVm(this.#vm)
    this.#update()
  }
  /** @throws UapiError EBADF; ENOENT for a file that was not added (kvm_vfio_file_del) */
  remove(caller: Caller, fd: number): void {
    const file = holdFile(caller, fd)
    try {
      const i = this.#files.findIndex((held) => held.file === file)
      if (i < 0) throw new UapiError('ENOENT', 'KVM_DEV_VFIO_FILE_DEL', { fd })
      this.#letGo(i)
    } finally {
      file.put()
    }
    this.#update()
  }
  /** The device is closed: files go, then what was registered (kvm_vfio_release). */
  release(): void {
    while (this.#files.length > 0) this.#letGo(0)
    this.#update()
  }

  /** @throws UapiError EFAULT, EBADF, ENOENT for a group that was not added, EINVAL as `TceTables.link` (kvm_vfio_file_set_spapr_tce) */
  #link(caller: Caller, addr: bigint, tables: TceTables): void {
    const what = 'KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE'
    const { groupfd, tablefd } = VFIO_SPAPR_TCE.decode(readUser(caller, addr, VFIO_SPAPR_TCE.size, what))
    const ops = fileAt(caller, groupfd)
    const held = this.#files.find((one) => one.ops === ops)
    if (!held) throw new UapiError('ENOENT', what, { groupfd })
    const group = held.ops.assigned.group
    if (!group) throw new UapiError('EIO', what, { groupfd })
    held.linked = group
    tables.link(fileAt(caller, tablefd), windowsOf(group))
  }
  #letGo(index: number): void {
    const [held] = this.#files.splice(index, 1)
    if (held?.linked) this.#tables?.unlink(windowsOf(held.linked))
    held?.ops.assigned.setVm(undefined)
    held?.file.put()
  }
  /** Asks every file again, since one that joins may change another's answer; the VM is told of the first and the last alone. */
  #update(): void {
    const noncoherent = this.#files.some(({ ops }) => !ops.assigned.enforcedCoherent)
    if (noncoherent === this.#noncoherent) return
    this.#noncoherent = noncoherent
    if (noncoherent) this.#count.register()
    else this.#count.unregister()
  }
}

/** Windows of a group as they are now; none where it has no TCE tables. */
const windowsOf = (group: Group): readonly (DmaWindow | undefined)[] => group.devices[0]?.windows?.present ?? []

function readFd(caller: Caller, addr: bigint): number {
  const bytes = new Uint8Array(4)
  if (caller.process.addressSpace.copyIn(addr, bytes) < 4)
    throw new UapiError('EFAULT', 'KVM_SET_DEVICE_ATTR', { addr })
  return new DataView(bytes.buffer).getInt32(0, true)
}
