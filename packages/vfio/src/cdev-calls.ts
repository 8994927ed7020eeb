/** Calls of a file that was opened through the device's own node. drivers/vfio/device_cdev.c. */
import {
  type AddressSpaces,
  type Caller,
  fileAt,
  type IoctlConvention,
  type IoctlRow,
  type IoctlTable,
  readUser,
  readUser32,
  UapiError,
  VFIO_CONVENTION,
} from '@ioasis/core'
import {
  VFIO_DEVICE_ATTACH_IOMMUFD_PT,
  VFIO_DEVICE_ATTACH_PASID,
  VFIO_DEVICE_BIND_FLAG_TOKEN,
  VFIO_DEVICE_BIND_IOMMUFD,
  VFIO_DEVICE_DETACH_IOMMUFD_PT,
  VFIO_DEVICE_DETACH_PASID,
  type VfioDeviceAttachIommufdPt,
  vfioDeviceAttachIommufdPt,
  type VfioDeviceBindIommufd,
  type VfioDeviceDetachIommufdPt,
  vfioDeviceDetachIommufdPt,
} from '@ioasis/uapi'
import { addressSpacesOf, type Binding } from './binding.ts'
import type { VfioDevice } from './device.ts'

/** A device's file as these calls find it: parked until it is bound. */
export interface BindableFile {
  readonly device: VfioDevice
  /** It was taken from the device's group, not opened through the device's own node. */
  readonly fromGroup: boolean
  /** It is bound, or came from a group. */
  readonly opened: boolean
  /** How the device is bound. @throws UapiError EINVAL while it is parked */
  readonly binding: Binding
  /** Binds. @returns the device's object id @throws UapiError as `VfioDevice.open` */
  open(caller: Caller, spaces: AddressSpaces): number
  /** Undoes `open`: nothing of the driver can be reached any more. */
  park(): void
}

/** BIND alone uses copy_struct_from_user(). */
const BIND_CONVENTION: IoctlConvention = { sizeField: 'argsz', unknownFlag: 'EINVAL', tail: 'E2BIG' }

const bind: IoctlRow<BindableFile, VfioDeviceBindIommufd> = {
  call: VFIO_DEVICE_BIND_IOMMUFD,
  convention: BIND_CONVENTION,
  run(file, { iommufd, flags, token_uuid_ptr }, caller) {
    const what = 'VFIO_DEVICE_BIND_IOMMUFD'
    if (iommufd < 0 || flags & ~VFIO_DEVICE_BIND_FLAG_TOKEN) throw new UapiError('EINVAL', what, { iommufd, flags })
    if (file.fromGroup) throw new UapiError('EINVAL', what, { device: file.device.name, from: 'group' })
    const { group } = file.device
    group.block()
    try {
      if (file.opened) throw new UapiError('EINVAL', what, { device: file.device.name, state: 'bound' })
      checkToken(file, flags, token_uuid_ptr, caller)
      return { ret: 0, out: { out_devid: file.open(caller, addressSpacesAt(caller, iommufd)) } }
    } catch (error) {
      group.unblock()
      throw error
    }
  },
  abort: (file) => file.park(),
}

function checkToken({ device }: BindableFile, flags: number, pointer: bigint, caller: Caller): void {
  const shown = (flags & VFIO_DEVICE_BIND_FLAG_TOKEN) !== 0
  if (!device.driver.checkToken) {
    if (shown) throw new UapiError('EINVAL', 'VFIO_DEVICE_BIND_IOMMUFD', { flags })
    return
  }
  device.driver.checkToken(shown ? readUser(caller, pointer, 16, 'VFIO_DEVICE_BIND_IOMMUFD') : undefined)
}

function addressSpacesAt(caller: Caller, fd: number): AddressSpaces {
  const spaces = addressSpacesOf(fileAt(caller, fd))
  if (!spaces) throw new UapiError('EBADFD', 'VFIO_DEVICE_BIND_IOMMUFD', { fd })
  return spaces
}

const attach: IoctlRow<BindableFile, VfioDeviceAttachIommufdPt> = {
  call: VFIO_DEVICE_ATTACH_IOMMUFD_PT,
  run({ binding }, { argsz, flags, pt_id }, caller, arg) {
    const what = 'VFIO_DEVICE_ATTACH_IOMMUFD_PT'
    if (flags & ~VFIO_DEVICE_ATTACH_PASID) throw new UapiError('EINVAL', what, { flags })
    if (!(flags & VFIO_DEVICE_ATTACH_PASID)) return { ret: 0, out: { pt_id: binding.attach(pt_id) } }
    const pasids = pasidsOf(binding, what)
    const pasid = pasidAt(caller, arg, argsz, vfioDeviceAttachIommufdPt.at.pasid, what)
    return { ret: 0, out: { pt_id: pasids.attach(pt_id, pasid), pasid } }
  },
  /** Also when a PASID was attached, as Linux does. */
  abort: ({ binding }) => binding.detach(),
}

const detach: IoctlRow<BindableFile, VfioDeviceDetachIommufdPt> = {
  call: VFIO_DEVICE_DETACH_IOMMUFD_PT,
  run({ binding }, { argsz, flags }, caller, arg) {
    const what = 'VFIO_DEVICE_DETACH_IOMMUFD_PT'
    if (flags & ~VFIO_DEVICE_DETACH_PASID) throw new UapiError('EINVAL', what, { flags })
    if (!(flags & VFIO_DEVICE_DETACH_PASID)) binding.detach()
    else {
      const pasids = pasidsOf(binding, what)
      pasids.detach(pasidAt(caller, arg, argsz, vfioDeviceDetachIommufdPt.at.pasid, what))
    }
    return { ret: 0 }
  },
}

function pasidsOf({ pasids }: Binding, what: string): Required<Binding>['pasids'] {
  if (!pasids) throw new UapiError('EOPNOTSUPP', what, { pasid: 'none' })
  return pasids
}
/** The member is read only when it is meant. */
function pasidAt(caller: Caller, arg: bigint, argsz: number, at: number, what: string): number {
  if (argsz < at + 4) throw new UapiError('EINVAL', what, { argsz })
  return readUser32(caller, arg + BigInt(at), what)
}

/** The one call of a parked file. */
export const BIND_TABLE: IoctlTable = { file: 'vfio-device', convention: VFIO_CONVENTION, rows: [bind] }
/** Which page table the device uses. */
export const PAGE_TABLE_TABLE: IoctlTable = { file: 'vfio-device', convention: VFIO_CONVENTION, rows: [attach, detach] }
