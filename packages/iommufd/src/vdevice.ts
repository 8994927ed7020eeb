/** A bound device under the id that a guest knows it by. drivers/iommu/iommufd/viommu.c iommufd_vdevice_alloc_ioctl. */
import { sameUnit, UapiError } from '@ioasis/core'
import type { IommufdContext } from './context.ts'
import { Device } from './device.ts'
import type { IommufdObject } from './object.ts'
import type { IommuVdeviceAlloc } from './uapi.ts'
import { ViommuObject } from './viommu.ts'

const CALL = 'IOMMU_VDEVICE_ALLOC'

/** It keeps its slice and its device; when the device is unbound it goes, and its number with it for good. */
export class Vdevice implements IommufdObject {
  readonly kind = 'vdevice'
  id = 0
  users = 0
  readonly viommu: ViommuObject
  readonly device: Device
  readonly virtId: bigint
  #undo: (() => void) | undefined
  #ready = false

  constructor(viommu: ViommuObject, device: Device, virtId: bigint) {
    this.viommu = viommu
    this.device = device
    this.virtId = virtId
    viommu.users++
    device.vdevice = this
  }

  /** The driver accepted it: it is found by its id. */
  get ready(): boolean {
    return this.#ready
  }
  /** @throws UapiError EEXIST for an id that is taken; as the driver; nothing is left then */
  init(): void {
    const { vdevices, viommu } = this.viommu
    const { virtId, device } = this
    try {
      if (vdevices.has(virtId)) throw new UapiError('EEXIST', CALL, { virtId })
      vdevices.set(virtId, this)
      this.#undo = viommu.deviceAdded?.({ device: device.iommu, virtId })
      this.#ready = true
    } catch (error) {
      this.destroy()
      throw error
    }
  }
  destroy(): void {
    this.#undo?.()
    const { vdevices } = this.viommu
    if (vdevices.get(this.virtId) === this) vdevices.delete(this.virtId)
    this.viommu.users--
    this.device.vdevice = undefined
  }
}

/** @throws UapiError ENOENT; EINVAL for a device behind other hardware; EEXIST for a device or an id that has one; as the driver */
export function allocVdevice({ objects }: IommufdContext, input: IommuVdeviceAlloc): Vdevice {
  const { viommu_id, dev_id, virt_id: virtId } = input
  const viommu = objects.find(viommu_id, ViommuObject)
  const device = objects.find(dev_id, Device)
  if (!sameUnit(viommu.iommu, device.iommu)) throw new UapiError('EINVAL', CALL, { dev_id })
  if (device.ending) throw new UapiError('ENOENT', CALL, { dev_id })
  if (device.vdevice) throw new UapiError('EEXIST', CALL, { dev_id })
  return objects.make(
    () => new Vdevice(viommu, device, virtId),
    (made) => made.init(),
  )
}
