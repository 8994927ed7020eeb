/** /dev/vfio/N: the file of a group, one at a time, from which device files are taken. drivers/vfio/group.c. */
import {
  type AddressSpaces,
  type AssignedFile,
  type Caller,
  FdTable,
  fileAt,
  installFile,
  mayFail,
  IoctlDispatch,
  type IoctlRow,
  type IoctlTable,
  readUser32,
  readUserText,
  UapiError,
  VFIO_CONVENTION,
} from '@ioasis/core'
import {
  VFIO_GROUP_FLAGS,
  VFIO_GROUP_GET_DEVICE_FD,
  VFIO_GROUP_GET_STATUS,
  VFIO_GROUP_SET_CONTAINER,
  VFIO_GROUP_UNSET_CONTAINER,
  type VfioGroupStatus,
} from '@ioasis/uapi'
import { addressSpacesOf } from './binding.ts'
import { Container } from './container.ts'
import type { VfioDevice } from './device.ts'
import { DeviceFile } from './device-file.ts'
import { type KeptGroupFile, mustBePrivileged, type VfioGroup } from './group.ts'

/** An open group. Devices opened through its container keep it after its last descriptor. */
export class GroupFile implements AssignedFile, KeptGroupFile {
  readonly ioctlTables: readonly string[] = ['vfio-group']
  readonly group: VfioGroup
  readonly assigned: AssignedFile['assigned']
  #holders = 1

  /**
   * @throws UapiError EPERM without the privilege that no-IOMMU needs; EBUSY while a device of it is bound through its own node,
   * or the group is open
   */
  constructor(caller: Caller, group: VfioGroup) {
    if (group.kind === 'noiommu') mustBePrivileged(caller, 'open')
    if (group.cdevOpens > 0 || group.file) throw new UapiError('EBUSY', 'open', { group: group.id })
    this.group = group
    group.file = this
    this.assigned = {
      valid: true,
      get enforcedCoherent() {
        return group.enforcedCoherent
      },
      group: group.iommu,
      setVm: (vm) => {
        group.vm = vm
      },
    }
  }

  ioctl(caller: Caller, number: number, arg: bigint): number {
    return dispatch.run(this, caller, number, arg)
  }
  release(): void {
    this.drop()
  }
  /** An opened device keeps the file. */
  hold(): void {
    this.#holders++
  }
  drop(): void {
    if (--this.#holders > 0) return
    this.group.leaveContainer()
    this.group.file = undefined
  }

  /**
   * Opens a device by its name.
   * @throws UapiError ENODEV for a name that is not here; EINVAL, EACCES for what follows the name; EMFILE; what opening answers
   */
  openDevice(caller: Caller, text: string): DeviceFile {
    const device = this.#named(text)
    FdTable.of(caller.process).mustHaveRoom(caller.process.limits.nofile)
    if (!this.group.hasIommu) throw new UapiError('EINVAL', 'VFIO_GROUP_GET_DEVICE_FD', { group: this.group.id })
    const { spaces, kind, vm } = this.group
    const first = device.opens === 0
    if (spaces && kind === 'noiommu' && first) mayOpenNoIommu(caller, spaces)
    mayFail(caller, 'vfio_device_file')
    const session = device.open(caller, { via: spaces, again: true, vm })
    try {
      if (spaces && first) device.binding?.attach(containerOf(spaces).ioas())
    } catch (error) {
      device.close()
      throw error
    }
    const { name, pid } = caller.process
    if (kind === 'noiommu') device.warn(`vfio-noiommu device opened by user (${name}:${pid})`)
    return DeviceFile.ofGroup(device, session)
  }
  #named(text: string): VfioDevice {
    for (const device of this.group.devices) {
      if (device.driver.matches ? device.driver.matches(text) : text === device.name) return device
    }
    throw new UapiError('ENODEV', 'VFIO_GROUP_GET_DEVICE_FD', { name: text })
  }
}

function containerOf({ container }: AddressSpaces): Required<AddressSpaces>['container'] {
  if (!container) throw new Error('a group joined a file that is no container')
  return container
}

/**
 * A user who brought an address space to the file expects translation. vfio_df_group_open
 * @throws UapiError EPERM, also without privilege
 */
function mayOpenNoIommu(caller: Caller, spaces: AddressSpaces): void {
  mustBePrivileged(caller, 'VFIO_GROUP_GET_DEVICE_FD')
  if (hasIoas(spaces)) throw new UapiError('EPERM', 'VFIO_GROUP_GET_DEVICE_FD', { addressSpace: 'chosen' })
}
function hasIoas(spaces: AddressSpaces): boolean {
  try {
    containerOf(spaces).ioas()
    return true
  } catch (error) {
    if (error instanceof UapiError && error.errno === 'ENODEV') return false
    throw error
  }
}

const PAGE = 4096

const getStatus: IoctlRow<GroupFile, VfioGroupStatus> = {
  call: VFIO_GROUP_GET_STATUS,
  run({ group }) {
    if (group.ended) throw new UapiError('ENODEV', 'VFIO_GROUP_GET_STATUS', { group: group.id })
    const { VIABLE, CONTAINER_SET } = VFIO_GROUP_FLAGS
    return { ret: 0, out: { flags: (group.viable ? VIABLE : 0) | (group.hasIommu ? CONTAINER_SET : 0) } }
  },
}
const setContainer: IoctlRow<GroupFile, never> = {
  call: VFIO_GROUP_SET_CONTAINER,
  run({ group }, _input, caller, arg) {
    const fd = readUser32(caller, arg, 'VFIO_GROUP_SET_CONTAINER') | 0
    const file = fileAt(caller, fd)
    if (group.hasIommu) throw new UapiError('EINVAL', 'VFIO_GROUP_SET_CONTAINER', { group: group.id })
    if (group.ended) throw new UapiError('ENODEV', 'VFIO_GROUP_SET_CONTAINER', { group: group.id })
    const spaces = addressSpacesOf(file)
    if (file instanceof Container) group.setContainer(caller, file)
    else if (spaces?.container) group.join(spaces, spaces.container)
    else throw new UapiError('EBADFD', 'VFIO_GROUP_SET_CONTAINER', { fd })
    return { ret: 0 }
  },
}
const unsetContainer: IoctlRow<GroupFile, never> = {
  call: VFIO_GROUP_UNSET_CONTAINER,
  run({ group }) {
    group.unsetContainer()
    return { ret: 0 }
  },
}
const getDeviceFd: IoctlRow<GroupFile, never> = {
  call: VFIO_GROUP_GET_DEVICE_FD,
  run(file, _input, caller, arg) {
    const text = readUserText(caller, arg, PAGE, 'VFIO_GROUP_GET_DEVICE_FD')
    return { ret: installFile(caller, file.openDevice(caller, text), { cloexec: true, name: '[vfio-device]' }) }
  },
}

/** The calls of a group's file. */
export const GROUP_TABLE: IoctlTable = {
  file: 'vfio-group',
  convention: VFIO_CONVENTION,
  rows: [getStatus, setContainer, unsetContainer, getDeviceFd],
}
const dispatch = new IoctlDispatch([GROUP_TABLE])
