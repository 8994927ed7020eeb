/** All devices that drivers offer, their groups, and the nodes of both. drivers/vfio/vfio_main.c, group.c, device_cdev.c. */
import {
  type AuditSource,
  type Caller,
  type Claim,
  type Clock,
  type FileOps,
  type FileSystem,
  type Group,
  type GroupRegistry,
  type HypervisorHooks,
  type IommuDevice,
  type Kernel,
  mayFail,
  type PciFunction,
  type Removal,
  type SysfsTree,
  UapiError,
  type VfioDevices,
  type VfioDriver,
  type VfioRegistration,
} from '@ioasis/core'
import { type GroupKind, VfioDevice } from './device.ts'
import { DeviceFile } from './device-file.ts'
import { GroupFile } from './group-file.ts'
import { VfioGroup } from './group.ts'
import { addMadeGroup, removeMadeGroup } from './made-group.ts'
import type { NoIommuMode } from './noiommu.ts'

/** Milliseconds until users are asked once more, vfio_unregister_group_dev. */
const ASK_AGAIN = 10_000

/** What the registry is made of. */
export interface RegistryParts {
  readonly kernel: Kernel
  readonly groups: GroupRegistry
  readonly files: FileSystem
  readonly sysfs: SysfsTree
  readonly noIommu: NoIommuMode
  readonly clock: Clock
  /** Writes to the kernel's log. */
  readonly log: (text: string) => void
  /** Asked whenever a device is opened. */
  readonly hypervisors: () => readonly HypervisorHooks[]
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
  /** Memory was laid open to a device's user (TAINT_USER); so it stays until the host is made anew. */
  get tainted(): boolean {
    return this.#parts.noIommu.tainted
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
    const { fn, iommu, of } = this.#placeOf(driver)
    const group = this.#groupFor(of, driver)
    const free = this.#devices.indexOf(undefined)
    const index = free < 0 ? this.#devices.length : free
    const { kernel, hypervisors, log } = this.#parts
    const { pageSize: pageBytes, cdev: cdevs } = kernel
    const device = new VfioDevice({ index, driver, group, fn, iommu, pageBytes, cdevs, log, hypervisors })
    if (of === 'noiommu') this.#taint(device)
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
    // Without an IOMMU an address-space file holds nothing of a device, not even that it is open.
    const linked = open.filter(
      ({ binding, group }) => binding !== undefined || group.inContainer || group.kind === 'noiommu',
    )
    return [
      { kind: 'count', what: 'VFIO groups owned', actual: owned.length, expected: used.length },
      { kind: 'count', what: 'VFIO devices open', actual: open.length, expected: linked.length },
    ]
  }

  /**
   * vfio_group_find_or_alloc, __vfio_register_dev
   * @throws UapiError EINVAL for a function in no group while no-IOMMU is off, or whose DMA is not coherent when it asks to be
   */
  #placeOf({ connection, name }: VfioDriver): Place {
    if (connection.kind === 'emulated') return { fn: undefined, iommu: undefined, of: 'emulated' }
    if (connection.kind === 'pasid') throw new UapiError('EOPNOTSUPP', 'vfio_register_group_dev', { driver: name })
    const { fn } = connection
    const { groups, noIommu } = this.#parts
    const group = groups.of(fn)
    const iommu = groups.deviceOf(fn)
    if (!group && noIommu.enabled) return { fn, iommu: undefined, of: 'noiommu' }
    if (!group || !iommu?.caps.cacheCoherent)
      throw new UapiError('EINVAL', 'vfio_register_group_dev', { function: fn.name })
    return { fn, iommu, of: group }
  }

  #groupFor(of: Place['of'], driver: VfioDriver): VfioGroup {
    const known = typeof of === 'object' ? this.#groups.get(of.id) : undefined
    if (known) return known.group
    const group = new VfioGroup(typeof of === 'object' ? of : this.#made(of, driver))
    const removeNode = this.#parts.files.add({
      path: `/dev/vfio/${group.node}`,
      open: (caller) => new GroupFile(caller, group),
    })
    this.#groups.set(group.id, { group, removeNode })
    return group
  }
  /** A group of the IOMMU core that has no IOMMU behind it (vfio_noiommu_group_alloc). */
  #made(kind: Exclude<GroupKind, 'iommu'>, { sysfs: device }: VfioDriver): { id: number; kind: typeof kind } {
    const { groups, sysfs } = this.#parts
    const id = groups.takeNumber()
    addMadeGroup(sysfs, id, device)
    return { id, kind }
  }
  /** @returns takes them away */
  #addNodes(device: VfioDevice): () => void {
    const { kernel, files } = this.#parts
    const removals = [this.#addDirectories(device)]
    if (kernel.cdev && device.group.kind !== 'noiommu') {
      const open = (caller: Caller): FileOps => {
        mayFail(caller, 'vfio_device_file')
        return new DeviceFile(device)
      }
      removals.push(files.add({ path: `/dev/vfio/devices/vfio${device.index}`, open }))
    }
    return () => {
      for (const remove of removals) remove()
    }
  }
  #taint(device: VfioDevice): void {
    this.#parts.noIommu.tainted = true
    device.warn('Adding kernel taint for vfio-noiommu group on device')
  }
  /** What sysfs shows: the device below its parent. */
  #addDirectories({ driver, index }: VfioDevice): () => void {
    const { sysfs } = this.#parts
    const name = `vfio${index}`
    if (driver.sysfs === undefined) return () => undefined
    const parent = sysfs.exists(driver.sysfs) ? sysfs.resolve(driver.sysfs) : driver.sysfs
    sysfs.addDirectory(`${parent}/vfio-dev/${name}`)
    sysfs.addLink(`/sys/class/vfio-dev/${name}`, `${parent}/vfio-dev/${name}`)
    return () => {
      sysfs.remove(`/sys/class/vfio-dev/${name}`)
      sysfs.remove(`${parent}/vfio-dev`)
    }
  }

  /** No new files from now on; the rest waits for those that are open. vfio_unregister_group_dev */
  #remove(device: VfioDevice, group: VfioGroup, removeNodes: () => void): Removal {
    group.devices.delete(device)
    removeNodes()
    device.gone.onDone(() => {
      this.#devices[device.index] = undefined
      this.#leave(group, device)
    })
    device.drop()
    this.#askBack(device, 0)
    return device.gone
  }
  /** As long as somebody has it. */
  #askBack(device: VfioDevice, count: number): void {
    if (device.gone.done) return
    device.askBack(count)
    const { clock } = this.#parts
    device.gone.onDone(clock.at(clock.now() + ASK_AGAIN, () => this.#askBack(device, count + 1)))
  }
  #leave(group: VfioGroup, { driver }: VfioDevice): void {
    if (this.devices.some((device) => device.group === group)) return
    this.#groups.get(group.id)?.removeNode()
    this.#groups.delete(group.id)
    if (!group.iommu) {
      removeMadeGroup(this.#parts.sysfs, group.id, driver.sysfs)
      this.#parts.groups.giveNumber(group.id)
    }
    group.end()
  }
}

/** Where a device stands: in a group of the IOMMU core, or in one that vfio makes for it. */
interface Place {
  readonly fn: PciFunction | undefined
  readonly iommu: IommuDevice | undefined
  readonly of: Group | Exclude<GroupKind, 'iommu'>
}
