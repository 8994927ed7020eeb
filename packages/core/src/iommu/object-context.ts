/**
 * What rows that a package adds to an address-space file's calls act on: the objects behind the file, without knowing the
 * package that keeps them. Such rows come in an `IoctlTable` for the same file and get this in the place of the file.
 *
 * Facts: drivers/iommu/iommufd/iommufd_private.h, and what selftest.c does through it.
 */
import type { Iova, Pasid } from '../address.ts'
import type { AccessUser, BoundAccess } from './address-space-file.ts'
import type { Domain, NestedDomain, PagingDomain } from './domain.ts'
import type { IommuDevice } from './driver.ts'
import type { Group } from './group.ts'

/** An object of a kind that only the adding package knows, with an id like all others. */
export interface ForeignObject {
  readonly kind: 'foreign'
  /** Set by `reserve`. */
  id: number
  /** Those who keep it from being destroyed. */
  users: number
  /** IOMMU_DESTROY, or the end of the context. Never refused. */
  destroy(): void
}

/** The objects of one context. */
export interface ObjectContext {
  /** Takes the lowest free id; nobody finds the object by it yet (iommufd_object_alloc). */
  reserve(object: ForeignObject): void
  /** From now on it is found (iommufd_object_finalize). */
  publish(object: ForeignObject): void
  /** The id is free again; `destroy` is not called (iommufd_object_abort). */
  abandon(object: ForeignObject): void
  /** A published foreign object of that class. @throws UapiError ENOENT */
  find<T extends ForeignObject>(id: number, kind: abstract new (...args: never[]) => T): T
  /** IOMMU_DESTROY. @throws UapiError ENOENT, EBUSY */
  destroy(id: number): void

  /** The domain of a HWPT that belongs to an IOAS. @throws UapiError ENOENT */
  pagingDomain(id: number): PagingDomain
  /** The domain of a nested HWPT. @throws UapiError ENOENT */
  nestedDomain(id: number): NestedDomain
  /** The domain of a HWPT of either kind. @throws UapiError ENOENT; EINVAL for an object of another kind */
  domain(id: number): Domain
  /** A bound device. @throws UapiError ENOENT */
  device(id: number): { readonly id: number; readonly iommu: IommuDevice }
  /** @throws UapiError ENOENT */
  ioas(id: number): IoasHandle

  /**
   * Binds a device for a driver inside the kernel. It does not keep the context alive: the object that binds it is in there.
   * @throws UapiError EINVAL when DMA is not coherent; EPERM when somebody else owns the group
   */
  bindDevice(device: IommuDevice, group: Group): KernelDevice
  /** Makes an emulated device. It keeps the context alive. */
  createAccess(user: AccessUser): KernelAccess
}

/** An IOAS. */
export interface IoasHandle {
  /** Reserves a range for good. @throws UapiError EADDRINUSE */
  reserve(first: Iova, last: Iova): void
  /** Where the n-th area begins, counted from 0 in the order of iovas. */
  nthArea(n: number): Iova | undefined
}

/** A bound device for a driver inside the kernel (iommufd_device_attach and its neighbours). PASID 0: requests without one. */
export interface KernelDevice {
  readonly id: number
  readonly iommu: IommuDevice
  /** @returns the id of the HWPT @throws UapiError ENOENT, EBUSY, EINVAL, EADDRINUSE and what the driver throws */
  attach(target: number, pasid: Pasid): number
  /** The same for an attached one. */
  replace(target: number, pasid: Pasid): number
  /** Harmless when it is not attached. */
  detach(pasid: Pasid): void
  /** @throws Error while it is attached */
  unbind(): void
}

/** An emulated device for a driver inside the kernel. */
export interface KernelAccess extends BoundAccess {
  /** Moves to another IOAS (iommufd_access_replace). @throws UapiError ENOENT when it is in none or the other is not there; EADDRINUSE */
  replace(target: number): void
  /** Where the n-th area of its IOAS begins; undefined also when it is in none. */
  nthArea(n: number): Iova | undefined
}
