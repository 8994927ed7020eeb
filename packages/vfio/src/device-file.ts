/**
 * A device's file, and the interlock: before it is bound there is no session, so nothing of the driver can be reached, and
 * every call but the one that binds it is EINVAL. drivers/vfio/vfio_main.c vfio_device_fops_*.
 */
import {
  type AddressSpaces,
  type AssignedFile,
  type Caller,
  IoctlDispatch,
  type Mapping,
  type MmapRequest,
  UapiError,
  type VfioSession,
} from '@ioasis/core'
import { VFIO_DEVICE_BIND_IOMMUFD } from '@ioasis/uapi'
import type { Binding } from './binding.ts'
import { type BindableFile, BIND_TABLE, PAGE_TABLE_TABLE } from './cdev-calls.ts'
import type { VfioDevice } from './device.ts'
import { DEVICE_TABLE, type OpenedFile } from './device-calls.ts'

/** An open device file, parked or opened. */
export class DeviceFile implements AssignedFile, BindableFile, OpenedFile {
  readonly ioctlTables: readonly string[] = ['vfio-device']
  readonly device: VfioDevice
  /** It was taken from the device's group, not opened through the device's own node. */
  readonly fromGroup: boolean
  readonly assigned: AssignedFile['assigned']
  /** The VM that was told of this file. */
  vm: object | undefined
  #session: VfioSession | undefined

  /** Opened through the device's own node: parked. */
  constructor(device: VfioDevice, session?: VfioSession) {
    this.device = device
    this.fromGroup = session !== undefined
    this.#session = session
    device.hold()
    this.assigned = {
      valid: true,
      enforcedCoherent: device.enforcedCoherent,
      group: device.iommu && device.group.iommu,
      setVm: (vm) => {
        this.vm = vm
      },
    }
  }
  /** Taken from the group, which opened the device already. */
  static ofGroup(device: VfioDevice, session: VfioSession): DeviceFile {
    return new DeviceFile(device, session)
  }

  /** It is bound, or came from a group. */
  get opened(): boolean {
    return this.#session !== undefined
  }
  /** The driver's side. @throws UapiError EINVAL while it is parked */
  get session(): VfioSession {
    if (!this.#session) throw new UapiError('EINVAL', 'vfio device', { device: this.device.name, state: 'parked' })
    return this.#session
  }
  /** How the device is bound. @throws UapiError EINVAL while it is parked */
  get binding(): Binding {
    const { binding } = this.device
    if (!binding) throw new UapiError('EINVAL', 'vfio device', { device: this.device.name, state: 'parked' })
    return binding
  }

  ioctl(caller: Caller, number: number, arg: bigint): number {
    if (number === VFIO_DEVICE_BIND_IOMMUFD.number) {
      if (!this.device.cdevs) throw new UapiError('ENOTTY', 'VFIO_DEVICE_BIND_IOMMUFD', { cdevs: 'none' })
      return binds.run(this, caller, number, arg)
    }
    const { session } = this
    session.power?.wake()
    try {
      return this.#open(session, caller, number, arg)
    } finally {
      session.power?.idle()
    }
  }
  pread(caller: Caller, offset: bigint, into: Uint8Array): number {
    return this.session.read(caller, offset, into)
  }
  pwrite(caller: Caller, offset: bigint, from: Uint8Array): number {
    return this.session.write(caller, offset, from)
  }
  mmap(caller: Caller, request: MmapRequest): Mapping {
    return this.session.mmap(caller, request)
  }
  release(): void {
    if (this.#session && !this.fromGroup) this.park()
    else if (this.#session) this.device.close()
    this.#session = undefined
    this.device.drop()
  }

  /** VFIO_DEVICE_BIND_IOMMUFD. @returns the device's object id @throws UapiError as `VfioDevice.open` */
  open(caller: Caller, spaces: AddressSpaces): number {
    this.#session = this.device.open(caller, { via: spaces, again: false, vm: this.vm })
    this.device.cdevOpened = true
    return this.binding.id
  }
  /** Undoes `open`: nothing of the driver can be reached any more. */
  park(): void {
    this.#session = undefined
    this.device.close()
    this.device.cdevOpened = false
    this.device.group.unblock()
  }

  #open(session: VfioSession, caller: Caller, number: number, arg: bigint): number {
    if (!this.fromGroup && pageTables.has(number)) return pageTables.run(this, caller, number, arg)
    if (calls.has(number)) return calls.run(this, caller, number, arg)
    if (session.ioctl) return session.ioctl(caller, number, arg)
    throw new UapiError('ENOTTY', 'ioctl', { file: 'vfio-device', number })
  }
}

const binds = new IoctlDispatch([BIND_TABLE])
const pageTables = new IoctlDispatch([PAGE_TABLE_TABLE])
const calls = new IoctlDispatch([DEVICE_TABLE])
