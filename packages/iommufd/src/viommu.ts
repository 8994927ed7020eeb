/** Slices of an IOMMU for guests: drivers/iommu/iommufd/viommu.c iommufd_viommu_alloc_ioctl, and what driver.c offers to drivers. */
import {
  type IommuDevice,
  type Mapping,
  UapiError,
  type Viommu,
  type ViommuDevice,
  type ViommuFrame,
} from '@ioasis/core'
import type { IommufdContext } from './context.ts'
import type { AttachedDevice } from './hwpt.ts'
import type { HwptPaging } from './hwpt-paging.ts'
import type { IommufdObject } from './object.ts'

/** A device under its id in the guest, as its slice finds it. */
export interface NumberedDevice {
  readonly virtId: bigint
  readonly device: AttachedDevice
  /** The driver accepted it. */
  readonly ready: boolean
}

/** What takes the events of one type. */
export interface EventSink {
  /** @throws UapiError ENOMEM; it is told as lost then */
  report(event: Uint8Array): void
}

/** One slice. It keeps its parent; virtual devices, event queues, hardware queues and nested HWPTs keep it. */
export class ViommuObject implements IommufdObject, ViommuFrame {
  readonly kind = 'viommu'
  id = 0
  users = 0
  readonly type: number
  readonly parent: HwptPaging
  /** A device behind the hardware that is sliced. */
  readonly iommu: IommuDevice
  /** By id in the guest. */
  readonly vdevices: Map<bigint, NumberedDevice> = new Map()
  /** One for each type. */
  readonly veventqs: Map<number, EventSink> = new Map()
  readonly #context: IommufdContext
  #viommu: Viommu | undefined

  constructor(context: IommufdContext, type: number, parent: HwptPaging, iommu: IommuDevice) {
    this.#context = context
    this.type = type
    this.parent = parent
    this.iommu = iommu
    parent.users++
  }

  /** What the driver made of it. @throws Error before `init` */
  get viommu(): Viommu {
    if (!this.#viommu) throw new Error('iommufd: a virtual IOMMU is used that its driver has not made')
    return this.#viommu
  }
  /** @throws UapiError what the driver refuses with; the parent is let go then */
  init(alloc: (frame: ViommuFrame) => Viommu): void {
    try {
      this.#viommu = alloc(this)
    } catch (error) {
      this.parent.users--
      throw error
    }
  }
  destroy(): void {
    this.#viommu?.destroy()
    this.parent.users--
  }

  allocMmap(target: Mapping, bytes: number): bigint {
    return this.#context.mmaps.offer(this, target, bytes)
  }
  destroyMmap(offset: bigint): void {
    this.#context.mmaps.takeBack(this, offset)
  }
  report(type: number, event: Uint8Array): void {
    if (event.length === 0) throw new UapiError('EINVAL', 'iommufd_viommu_report_event', { type })
    const queue = this.veventqs.get(type)
    if (!queue) throw new UapiError('EOPNOTSUPP', 'iommufd_viommu_report_event', { type })
    queue.report(event)
  }
  deviceOf(virtId: bigint): IommuDevice | undefined {
    const found = this.vdevices.get(virtId)
    return found?.ready === true ? found.device.iommu : undefined
  }
  virtIdOf(device: ViommuDevice): bigint | undefined {
    // In the order of the ids, as an xarray is walked.
    const of = [...this.vdevices.values()].filter((each) => each.ready && each.device.iommu === device)
    return of.toSorted((a, b) => (a.virtId < b.virtId ? -1 : 1))[0]?.virtId
  }
}
