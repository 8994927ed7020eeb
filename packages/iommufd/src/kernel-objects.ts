/** The objects of a context for rows that other packages add: core's `ObjectContext`. */
import {
  type AccessUser,
  type Domain,
  type ForeignObject,
  type Group,
  type IoasHandle,
  type IommuDevice,
  type Iova,
  type KernelAccess,
  type KernelDevice,
  type NestedDomain,
  type ObjectContext,
  type PagingDomain,
  UapiError,
} from '@ioasis/core'
import { Access } from './access.ts'
import { IommufdContext } from './context.ts'
import { bindDevice, Device } from './device.ts'
import { HwptNested } from './hwpt-nested.ts'
import { HwptPaging } from './hwpt-paging.ts'
import { Ioas } from './ioas.ts'

/** A context with its objects' doors open. */
export class OpenContext extends IommufdContext implements ObjectContext {
  reserve(object: ForeignObject): void {
    this.objects.reserve(object)
  }
  publish(object: ForeignObject): void {
    this.objects.publish(object)
  }
  abandon(object: ForeignObject): void {
    this.objects.abandon(object)
  }
  find<T extends ForeignObject>(id: number, kind: abstract new (...args: never[]) => T): T {
    return this.objects.find(id, kind)
  }
  destroy(id: number): void {
    this.objects.destroy(id)
  }
  pagingDomain(id: number): PagingDomain {
    return this.objects.find(id, HwptPaging).domain
  }
  nestedDomain(id: number): NestedDomain {
    return this.objects.find(id, HwptNested).domain
  }
  domain(id: number): Domain {
    const object = this.objects.get(id)
    if (object instanceof HwptPaging || object instanceof HwptNested) return object.domain
    throw new UapiError('EINVAL', 'iommufd object', { id })
  }
  device(id: number): { readonly id: number; readonly iommu: IommuDevice } {
    return this.objects.find(id, Device)
  }
  ioas(id: number): IoasHandle {
    const { table } = this.objects.find(id, Ioas)
    return {
      // Nobody owns it, so that nobody gives it up.
      reserve: (first: Iova, last: Iova) => table.iovas.reserve(first, last, {}),
      nthArea: (n: number) => table.nthArea(n),
    }
  }
  bindDevice(device: IommuDevice, group: Group): KernelDevice {
    return bindDevice(this, device, group, { keepsContext: false })
  }
  createAccess(user: AccessUser): KernelAccess {
    return this.objects.make(() => new Access(this, user))
  }
}
