/** What a driver offers to user space through VFIO; vfio owns the files and the interlock, the driver owns the device. */
import type { Uva } from '../address.ts'
import type { InfoCapability } from '../c-struct.ts'
import type { Mapping, MmapRequest } from '../file/file-ops.ts'
import type { PciFunction } from '../pci/function.ts'
import { type Token, token } from '../plugin/token.ts'
import type { Caller } from '../process/process.ts'
import type { EventFd } from '../wait.ts'
import type { Removal } from './completion.ts'
import type { VfioDmaLogging, VfioMigration } from './migration.ts'

/** How a device reaches memory. */
export type VfioConnection =
  /** A function behind an IOMMU. */
  | { readonly kind: 'physical'; readonly fn: PciFunction }
  /** Software only: it copies or pins through the address space. */
  | { readonly kind: 'emulated'; readonly name: string; unmapped(first: bigint, bytes: bigint): void }
  /** One PASID of a function that somebody else owns (scalable IOV). */
  | { readonly kind: 'pasid'; readonly parent: PciFunction }

/** A device as its VFIO driver offers it. None of it is reachable before the descriptor is bound: the interlock lies in vfio. */
export interface VfioDriver {
  /** `vfio-pci`, `vfio-mtty`. */
  readonly name: string
  readonly connection: VfioConnection
  /** Its directory in sysfs; `vfio-dev/vfioN` is made below. Absent: it has none. */
  readonly sysfs?: string
  /**
   * Whether the text that VFIO_GROUP_GET_DEVICE_FD was given names this device. Absent: the device's name and nothing else does.
   * @throws UapiError EINVAL, EACCES for options after the name
   */
  matches?(text: string): boolean
  /**
   * Whether who binds the device shows the right token. Absent: there are no tokens, and showing one is EINVAL.
   * @param uuid 16 bytes; undefined: none was shown
   * @throws UapiError EACCES, EINVAL
   */
  checkToken?(uuid: Uint8Array | undefined): void
  /** The first user came: enable the device. @throws UapiError when it cannot */
  open(caller: Caller, use: VfioUse): VfioSession
}

/** What an opened device has of VFIO. */
export interface VfioUse {
  /** The virtual machine its file, or its group's, was given to before it was opened. It stays as long as the device is open. */
  readonly vm: object | undefined
  /** Present for emulated devices: the memory behind the iovas that its user mapped. */
  readonly memory?: VfioMemory
}
/** How an emulated device reaches its user's memory. drivers/vfio/vfio_main.c vfio_pin_pages, vfio_unpin_pages, vfio_dma_rw. */
export interface VfioMemory {
  /**
   * Pins whole pages; where in the page `iova` lies does not matter. The device lets go of them when `unmapped` tells it to.
   * @param pages at most 512
   * @returns hpa of each
   * @throws UapiError EINVAL, ENOENT, EPERM, EFAULT, ENOMEM; E2BIG for too many; EBUSY while the user changes addresses; ENOTTY
   * for a container without pins
   */
  pin(iova: bigint, pages: number, how: { readonly write: boolean }): Float64Array
  /** Pages that are not pinned are passed over. */
  unpin(iova: bigint, pages: number): void
  /** Copies by CPU. @throws UapiError EINVAL, ENOENT, EPERM, EFAULT, EBUSY */
  copy(caller: Caller, iova: bigint, bytes: Uint8Array, how: { readonly write: boolean }): void
}

/** One opened device, until its last descriptor is closed. */
export interface VfioSession {
  readonly info: VfioInfo
  /** VFIO_DEVICE_GET_INFO was answered with it. Absent: nobody needs to know. */
  infoAsked?(): void
  /** @throws UapiError EINVAL for an index it does not have */
  regionInfo(index: number): VfioRegion
  /** @throws UapiError EINVAL for an index it does not have */
  irqInfo(index: number): VfioIrq
  /** Interrupts of an index as VFIO_DEVICE_SET_IRQS counts them; 0 for one that `irqInfo` refuses. */
  irqCount(index: number): number
  /** VFIO_DEVICE_SET_IRQS after its argument was checked. */
  setIrqs(caller: Caller, request: VfioIrqRequest): void
  /** @returns bytes read */
  read(caller: Caller, offset: bigint, into: Uint8Array): number
  /** @returns bytes written */
  write(caller: Caller, offset: bigint, from: Uint8Array): number
  /** @param request its offset is the file's: region and place in it */
  mmap(caller: Caller, request: MmapRequest): Mapping
  /** VFIO_DEVICE_RESET. Absent: ENOTTY. */
  reset?(): void
  /**
   * VFIO_DEVICE_FEATURE: by feature number, each with what it allows. Migration and DMA logging are not among them: they
   * follow from the members below.
   */
  readonly features: ReadonlyMap<number, VfioFeature>
  /** The device can be moved to another host. Absent: ENOTTY for its features. */
  readonly migration?: VfioMigration
  /** The device remembers what it writes. Absent: ENOTTY for its features. */
  readonly dmaLogging?: VfioDmaLogging
  /** Further ioctls of this driver. @throws UapiError ENOTTY for one it does not know */
  ioctl?(caller: Caller, number: number, arg: bigint): number
  /** Runtime power management: each ioctl wakes the device before, and lets it sleep again after. Absent: it never sleeps. */
  readonly power?: { wake(): void; idle(): void }
  /** The device is asked back (unbind, hot-unplug): the driver tells its user and waits for `close`. */
  request(count: number): void
  close(): void
}

/** The answer to VFIO_DEVICE_GET_INFO. */
export interface VfioInfo {
  /** `VFIO_DEVICE_FLAGS_*`; CAPS is added where there are capabilities. */
  readonly flags: number
  readonly regions: number
  /** Interrupt indices. */
  readonly irqs: number
  readonly capabilities?: readonly InfoCapability[]
}
/** A region's answer to VFIO_DEVICE_GET_REGION_INFO. */
export interface VfioRegion {
  /** `VFIO_REGION_INFO_FLAG_*`; CAPS is added where there are capabilities. */
  readonly flags: number
  readonly size: bigint
  /** In the device's file. */
  readonly offset: bigint
  readonly capabilities?: readonly InfoCapability[]
}
/** An interrupt index' answer to VFIO_DEVICE_GET_IRQ_INFO. */
export interface VfioIrq {
  readonly flags: number
  readonly count: number
}
/** VFIO_DEVICE_SET_IRQS, decoded. */
export interface VfioIrqRequest {
  readonly index: number
  readonly start: number
  readonly count: number
  /** undefined: none or several were asked for, which is ENOTTY for every driver. */
  readonly action: 'mask' | 'unmask' | 'trigger' | undefined
  readonly data:
    | { readonly kind: 'none' }
    | { readonly kind: 'bool'; readonly values: readonly boolean[] }
    /**
     * Descriptors are looked up when the driver gets to them, as the order of refusals shows. `event(i)` is undefined for a
     * negative number: take the event away. It throws UapiError EBADF, and EINVAL for another kind of file.
     */
    | { readonly kind: 'eventfd'; readonly fds: readonly number[]; readonly event: (i: number) => EventFd | undefined }
}
/** One device feature; what is absent cannot be asked for. */
export interface VfioFeature {
  /** Least payload in bytes. */
  readonly minimum: number
  /** Its answer is the call's result. */
  readonly get?: (caller: Caller, payload: VfioPayload) => number
  /** Its answer is the call's result. */
  readonly set?: (caller: Caller, payload: VfioPayload) => number
}
/** What follows the header of VFIO_DEVICE_FEATURE in user memory. */
export interface VfioPayload {
  readonly uva: Uva
  /** At least the feature's minimum. */
  readonly bytes: number
}

/** Where drivers offer devices while the host runs: a function is bound, a mediated device is created. */
export interface VfioDevices {
  /**
   * Registers a device: it gets a number, a group, nodes.
   * @returns the registration; `remove` is pending while the device is open
   * @throws UapiError EINVAL for a function in no group, or whose DMA is not coherent
   */
  add(driver: VfioDriver): VfioRegistration
}
/** A registered device. */
export interface VfioRegistration {
  /** N of /dev/vfio/devices/vfioN. */
  readonly index: number
  /** Number of its group: /dev/vfio/N. */
  readonly group: number
  remove(): Removal
}
/** The VFIO core of this host; vfio provides it. */
export const VfioDevices: Token<VfioDevices> = token('VfioDevices')
