/** All devices that drivers offer, their groups, and the nodes of both. drivers/vfio/vfio_main.c, group.c, device_cdev.c. */
import {
  type AuditSource,
  type Caller,
  type Claim,
  type FileOps,
  type FileSystem,
  type GroupRegistry,
  type IommuDevice,
  type Kernel,
  type PciFunction,
  type Removal,
  type SysfsTree,
  UapiError,
  type VfioDevices,
  type VfioDriver,
  type VfioRegistration,
} from '@ioasis/core'
import { VfioDevice } from './device.ts'
import { DeviceFile } from './device-file.ts'
import { GroupFile } from './group-file.ts'
import { VfioGroup } from './group.ts'

/** What the registry is made of. */
export interface RegistryParts {
  readonly kernel: Kernel
  readonly groups: GroupRegistry
  readonly files: FileSystem
  readonly sysfs: SysfsTree
}

/** The VFIO core of one host. */
export class VfioRegistry implements VfioDevices, AuditSource {
  readonly name = 'vfio'
  readonly #parts: RegistryParts
  readonly #devices: (VfioDevice | undefined)[] = []
  readonly #groups = new Map<number, { readonly group: VfioGroup; readonly removeNode: () => void }>()

  constructor(parts: RegistryParts) {
    this.#parts = parts
  }

  /** Registered devices by number. */
  get devices(): readonly VfioDevice[] {
    return this.#devices.filter((device) => device !== undefined)
  }
  /** Groups with registered devices. */
  get groups(): readonly VfioGroup[] {
    return [...this.#groups.values()].map(({ group }) => group)
  }
  /** The device of a function that a VFIO driver has. */
  deviceOf(fn: PciFunction): VfioDevice | undefined {
    return this.devices.find((device) => device.fn === fn)
  }

  add(driver: VfioDriver): VfioRegistration {
    const { fn, iommu } = this.#placeOf(driver)
    const group = this.#groupFor(fn)
    const free = this.#devices.indexOf(undefined)
    const index = free < 0 ? this.#devices.length : free
    const device = new VfioDevice({ index, driver, group, fn, iommu })
    this.#devices[index] = device
    group.devices.add(device)
    const removeNodes = this.#addNodes(device)
    return { index, group: group.id, remove: () => this.#remove(device, group, removeNodes) }
  }

  /** A group is owned while a container has it, or a device of it is bound; a device is bound or uses a container while it is open. */
  claims(): readonly Claim[] {
    const groups = this.groups.filter(({ iommu }) => iommu !== undefined)
    const bound = new Set(this.devices.filter(({ binding }) => binding !== undefined).map(({ group }) => group))
    const used = groups.filter((group) => group.inContainer || bound.has(group))
    const owned = groups.filter(({ iommu }) => iommu?.owner !== undefined)
    const open = this.devices.filter((device) => device.opens > 0)
    const linked = open.filter((device) => device.binding !== undefined || device.group.inContainer)
    return [
      { kind: 'count', what: 'VFIO groups owned', actual: owned.length, expected: used.length },
      { kind: 'count', what: 'VFIO devices open', actual: open.length, expected: linked.length },
    ]
  }

  /** @throws UapiError EINVAL for a function in no group, or whose DMA is not coherent when it asks to be */
  #placeOf({ connection, name }: VfioDriver): { fn: PciFunction | undefined; iommu: IommuDevice | undefined } {
    if (connection.kind === 'emulated') return { fn: undefined, iommu: undefined }
    if (connection.kind === 'pasid') throw new UapiError('EOPNOTSUPP', 'vfio_register_group_dev', { driver: name })
    const { fn } = connection
    const iommu = this.#parts.groups.deviceOf(fn)
    if (!iommu?.caps.cacheCoherent) throw new UapiError('EINVAL', 'vfio_register_group_dev', { function: fn.name })
    return { fn, iommu }
  }

  #groupFor(fn: PciFunction | undefined): VfioGroup {
    const { groups, files } = this.#parts
    const iommu = fn && groups.of(fn)
    const known = iommu && this.#groups.get(iommu.id)
    if (known) return known.group
    const group = new VfioGroup(iommu?.id ?? this.#emulatedNumber(), iommu)
    const removeNode = files.add({ path: `/dev/vfio/${group.id}`, open: () => new GroupFile(group) })
    this.#groups.set(group.id, { group, removeNode })
    return group
  }

  /** A group of the IOMMU core that has no IOMMU behind it (vfio_noiommu_group_alloc). */
  #emulatedNumber(): number {
    const id = this.#parts.groups.takeNumber()
    this.#parts.sysfs.addFile(`/sys/kernel/iommu_groups/${id}/name`, { show: () => 'vfio-noiommu\n' })
    return id
  }
  /** @returns takes them away */
  #addNodes(device: VfioDevice): () => void {
    const { kernel, files } = this.#parts
    const removals = [this.#addDirectories(device)]
    if (kernel.cdev) {
      const open = (_caller: Caller): FileOps => new DeviceFile(device)
      removals.push(files.add({ path: `/dev/vfio/devices/vfio${device.index}`, open }))
    }
    return () => {
      for (const remove of removals) remove()
    }
  }
  /** What sysfs shows: the device below its parent, and the group of a device that the IOMMU core does not know. */
  #addDirectories({ driver, index, group }: VfioDevice): () => void {
    const { sysfs } = this.#parts
    const name = `vfio${index}`
    if (driver.sysfs === undefined) return () => undefined
    const parent = sysfs.exists(driver.sysfs) ? sysfs.resolve(driver.sysfs) : driver.sysfs
    sysfs.addDirectory(`${parent}/vfio-dev/${name}`)
    sysfs.addLink(`/sys/class/vfio-dev/${name}`, `${parent}/vfio-dev/${name}`)
    if (!group.iommu) sysfs.addLink(`${parent}/iommu_group`, `/sys/kernel/iommu_groups/${group.id}`)
    return () => {
      sysfs.remove(`/sys/class/vfio-dev/${name}`)
      sysfs.remove(`${parent}/vfio-dev`)
      if (!group.iommu) sysfs.remove(`${parent}/iommu_group`)
    }
  }

  /** No new files from now on; the rest waits for those that are open. vfio_unregister_group_dev */
  #remove(device: VfioDevice, group: VfioGroup, removeNodes: () => void): Removal {
    group.devices.delete(device)
    removeNodes()
    device.gone.onDone(() => {
      this.#devices[device.index] = undefined
      this.#leave(group)
    })
    device.askBack()
    device.drop()
    return device.gone
  }
  #leave(group: VfioGroup): void {
    if (this.devices.some((device) => device.group === group)) return
    this.#groups.get(group.id)?.removeNode()
    this.#groups.delete(group.id)
    if (!group.iommu) {
      this.#parts.sysfs.remove(`/sys/kernel/iommu_groups/${group.id}`)
      this.#parts.groups.giveNumber(group.id)
    }
    group.leaveContainer()
  }
}
