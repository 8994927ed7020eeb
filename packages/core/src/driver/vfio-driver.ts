/** What a driver offers to user space through VFIO; vfio owns the files and the interlock, the driver owns the device. */
import type { FileOps, Mapping, MmapRequest } from '../file/file-ops.ts'
import type { PciFunction } from '../pci/function.ts'
import type { Caller } from '../process/process.ts'
import type { EventFd } from '../wait.ts'

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
  /** `vfio-pci`, `mtty`. */
  readonly name: string
  readonly connection: VfioConnection
  /** The first user came: enable the device. @throws UapiError when it cannot */
  open(caller: Caller): VfioSession
}

/** One opened device, until its last descriptor is closed. */
export interface VfioSession {
  readonly info: { readonly flags: number; readonly regions: number; readonly irqs: number }
  /** @throws UapiError EINVAL for an index it does not have */
  regionInfo(index: number): VfioRegion
  irqInfo(index: number): VfioIrq
  /** VFIO_DEVICE_SET_IRQS after its argument was checked: `data` holds event files, booleans or nothing. */
  setIrqs(caller: Caller, request: VfioIrqRequest): void
  read(caller: Caller, region: number, offset: bigint, into: Uint8Array): number
  write(caller: Caller, region: number, offset: bigint, from: Uint8Array): number
  mmap(caller: Caller, region: number, request: MmapRequest): Mapping
  /** VFIO_DEVICE_RESET. Absent: ENOTTY. */
  reset?(): void
  /** VFIO_DEVICE_FEATURE: rows by feature number, each with what it allows. */
  readonly features: ReadonlyMap<number, VfioFeature>
  /** Further ioctls of this driver. */
  ioctl?(caller: Caller, number: number, arg: bigint): number
  /** The device is asked back (unbind, hot-unplug): the driver tells its user and waits for `close`. */
  request(count: number): void
  close(): void
}

/** A region's answer to VFIO_DEVICE_GET_REGION_INFO. */
export interface VfioRegion {
  readonly flags: number
  readonly size: bigint
  readonly offset: bigint
  /** Capability chain, already laid out. */
  readonly capabilities?: Uint8Array
}
/** An interrupt's answer to VFIO_DEVICE_GET_IRQ_INFO. */
export interface VfioIrq {
  readonly flags: number
  readonly count: number
}
/** VFIO_DEVICE_SET_IRQS, decoded. */
export interface VfioIrqRequest {
  readonly index: number
  readonly start: number
  readonly count: number
  readonly action: 'mask' | 'unmask' | 'trigger'
  readonly data:
    | { readonly kind: 'none' }
    | { readonly kind: 'bool'; readonly values: readonly boolean[] }
    /** undefined: -1, take the event away. */
    | { readonly kind: 'eventfd'; readonly files: readonly (EventFd | undefined)[] }
}
/** One device feature. */
export interface VfioFeature {
  readonly get?: (caller: Caller, data: Uint8Array) => { readonly ret: number; readonly file?: FileOps }
  readonly set?: (caller: Caller, data: Uint8Array) => void
}
