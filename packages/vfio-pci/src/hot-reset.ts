/**
 * Resetting a whole bus: its user must own every function on it, by groups he shows or by the address-space file they are bound
 * to. drivers/vfio/pci/vfio_pci_core.c vfio_pci_ioctl_pci_hot_reset, vfio_pci_dev_set_hot_reset, vfio_pci_dev_set_try_reset.
 */
import {
  type AddressSpaces,
  busOf,
  type Caller,
  fileAt,
  type PciFunction,
  type PciTopology,
  readUser,
  resetBus,
  restoreState,
  saveState,
  UapiError,
  writeUser,
} from '@ioasis/core'
import {
  VFIO_PCI_DEVID,
  VFIO_PCI_HOT_RESET_FLAG,
  type VfioPciHotReset,
  vfioPciHotReset,
  type VfioPciHotResetInfo,
  vfioPciHotResetInfo,
  vfioPciDependentDevice,
} from '@ioasis/uapi'
import { GroupFile, type VfioDevice } from '@ioasis/vfio'
import type { HeldFunction } from './held-function.ts'

const { DEV_ID, DEV_ID_OWNED } = VFIO_PCI_HOT_RESET_FLAG

/** Functions that a bus reset reaches, those behind further bridges included. @throws UapiError ENODEV on a root bus */
function affected({ fn, parts }: HeldFunction): readonly PciFunction[] {
  const bridge = fn.parent
  if (!bridge) throw new UapiError('ENODEV', 'pci_probe_reset_bus', { function: fn.name })
  return behind(bridge, parts.pci)
}

function behind(bridge: PciFunction, pci: PciTopology): readonly PciFunction[] {
  return pci.children(bridge).flatMap((child) => [child].concat(behind(child, pci)))
}

/** @throws UapiError ENODEV, ENOSPC with the count, EPERM, EFAULT */
export function hotResetInfo(
  device: HeldFunction,
  caller: Caller,
  arg: bigint,
  argsz: number,
): Partial<VfioPciHotResetInfo> {
  const functions = affected(device)
  const count = functions.length
  const room = Math.floor((argsz - vfioPciHotResetInfo.size) / vfioPciDependentDevice.size)
  if (count > room) {
    throw new UapiError('ENOSPC', 'VFIO_DEVICE_GET_PCI_HOT_RESET_INFO', { count, room }, { flags: 0, count })
  }
  const own = device.own
  const rows = functions.map((fn) => ({ fn, id: own?.cdevOpened ? deviceId(device, own, fn) : groupId(device, fn) }))
  const bytes = new Uint8Array(count * vfioPciDependentDevice.size)
  rows.forEach(({ fn, id }, i) => {
    const values = { id, segment: fn.segment, bus: busOf(fn.bdf), devfn: fn.bdf & 0xff }
    vfioPciDependentDevice.encode(values, bytes.subarray(i * vfioPciDependentDevice.size))
  })
  writeUser(caller, arg + BigInt(vfioPciHotResetInfo.size), bytes, 'VFIO_DEVICE_GET_PCI_HOT_RESET_INFO')
  const owned = rows.every(({ id }) => id !== VFIO_PCI_DEVID.NOT_OWNED)
  return { flags: own?.cdevOpened ? DEV_ID | (owned ? DEV_ID_OWNED : 0) : 0, count }
}

function groupId({ parts }: HeldFunction, fn: PciFunction): number {
  const group = parts.groups.of(fn) ?? parts.vfio.deviceOf(fn)?.group
  if (!group) throw new UapiError('EPERM', 'vfio_pci_fill_devs', { function: fn.name })
  return group.id
}
function deviceId(device: HeldFunction, own: VfioDevice, fn: PciFunction): number {
  const other = inOneSet(device.fn, fn) ? device.parts.vfio.deviceOf(fn) : undefined
  return (other && own.binding && ownedAs(other, own.binding.spaces)) ?? VFIO_PCI_DEVID.NOT_OWNED
}
/** The device's id in an address-space file; `OWNED` when only its group is bound there; undefined when it is not. */
function ownedAs(device: VfioDevice, spaces: AddressSpaces): number | undefined {
  if (device.binding && sameOwner(device, spaces)) return device.binding.id
  const group = device.group.iommu
  return group && spaces.owns(group) ? VFIO_PCI_DEVID.OWNED : undefined
}
const sameOwner = ({ binding }: VfioDevice, spaces: AddressSpaces): boolean => binding?.spaces === spaces

/** @throws UapiError EINVAL when the set is not all the user's, ENODEV, EBADF, EFAULT */
export function hotReset(device: HeldFunction, caller: Caller, arg: bigint, { flags, count }: VfioPciHotReset): void {
  const what = 'VFIO_DEVICE_PCI_HOT_RESET'
  const { own } = device
  if (flags !== 0 || count > 0 === (own?.cdevOpened ?? false)) throw new UapiError('EINVAL', what, { flags, count })
  const functions = affected(device)
  if (count > functions.length) throw new UapiError('EINVAL', what, { count })
  const groups = groupsAt(caller, arg, count)
  const set = resettable(device)
  if (!set) throw new UapiError('EINVAL', what, { function: device.fn.name })
  const spaces = own?.binding?.spaces
  const owns = ({ own: other }: HeldFunction): boolean =>
    other !== undefined &&
    (count > 0
      ? groups.some(({ group }) => group === other.group)
      : spaces !== undefined && ownedAs(other, spaces) !== undefined)
  if (!set.every(owns)) throw new UapiError('EINVAL', what, { function: device.fn.name })
  resetAll(set)
}

function groupsAt(caller: Caller, arg: bigint, count: number): readonly GroupFile[] {
  const what = 'VFIO_DEVICE_PCI_HOT_RESET'
  const bytes = readUser(caller, arg + BigInt(vfioPciHotReset.size), 4 * count, what)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Array.from({ length: count }, (_, i) => {
    const fd = view.getInt32(4 * i, true)
    const file = fileAt(caller, fd)
    if (!(file instanceof GroupFile)) throw new UapiError('EINVAL', what, { fd })
    return file
  })
}

/** A virtual function is a set of its own, and what lies deeper is in another one (vfio_pci_core_register_device). */
const inOneSet = (fn: PciFunction, other: PciFunction): boolean =>
  fn === other || (fn.parent === other.parent && !fn.virtfn && !other.virtfn)

/** The devices on the bus, when this driver has all of them. */
function resettable(device: HeldFunction): readonly HeldFunction[] | undefined {
  const set = affected(device).map((fn) => (inOneSet(device.fn, fn) ? device.parts.deviceOf(fn) : undefined))
  return set.every((one) => one !== undefined) ? set : undefined
}

function resetAll(set: readonly HeldFunction[]): void {
  for (const one of set) {
    one.power.wake()
    one.session?.memoryOff(() => undefined)
    one.power.set(0)
  }
  const saved = set.map(({ fn }) => saveState(fn))
  resetBus(set[0]?.fn.parent as PciFunction)
  set.forEach(({ fn, session }, i) => {
    restoreState(fn, saved[i] ?? [])
    session?.interrupts.restore()
  })
  for (const one of set) {
    one.session?.memoryOn()
    if (!one.session) one.power.idle()
    else if (one.session.lowPower) one.power.sleep()
  }
}

/** A device that cannot be reset alone was closed: once nobody uses the bus, all of it is reset. */
export function resetWhenUnused(device: HeldFunction): void {
  if (!device.fn.parent) return
  const set = resettable(device)
  if (!set || set.some((one) => one.session && one !== device) || !set.some((one) => one.needsReset)) return
  resetAll(set)
  for (const one of set) one.needsReset = false
}
