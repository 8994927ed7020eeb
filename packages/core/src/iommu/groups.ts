/** All groups of a host: functions are probed by the IOMMU drivers in bus order and sorted into groups. */
import type { AuditSource, Claim } from '../audit.ts'
import { UapiError } from '../errno.ts'
import type { PciFunction } from '../pci/function.ts'
import { type GroupReason, groupingOf } from '../pci/grouping.ts'
import type { PciTopology } from '../pci/topology.ts'
import { type Token, token } from '../plugin/token.ts'
import { deviceName, type IommuDevice, type IommuDriver } from './driver.ts'
import { Group } from './group.ts'

/** Told of groups and their members as they come and go. */
export interface GroupListener {
  made(group: Group): void
  joined(group: Group, fn: PciFunction): void
  left(group: Group, fn: PciFunction): void
  gone(group: Group): void
  /** The same for a device of another bus, by its name. */
  deviceJoined?(group: Group, name: string): void
  deviceLeft?(group: Group, name: string): void
}

/** The groups of this host. */
export const IommuGroups: Token<GroupRegistry> = token('IommuGroups')

/** Finds, makes and ends groups. Also the place where device drivers ask for DMA through the kernel. */
export class GroupRegistry implements AuditSource {
  readonly name = 'iommu groups'
  readonly #pci: PciTopology
  readonly #groups: (Group | undefined)[] = []
  readonly #of = new Map<PciFunction, { readonly group: Group; readonly device: IommuDevice }>()
  /** Devices of other buses. */
  readonly #others = new Map<IommuDevice, Group>()
  readonly #errors = new WeakMap<PciFunction, UapiError>()
  readonly #taken = new Set<number>()
  readonly #listener: GroupListener | undefined
  #drivers: readonly IommuDriver[] = []

  /**
   * @param pci the functions to sort
   * @param listener e.g. sysfs
   */
  constructor(pci: PciTopology, listener?: GroupListener) {
    this.#pci = pci
    this.#listener = listener
  }

  /** The machine boots: probes every function in bus order, and from now on those that come and go. */
  start(drivers: readonly IommuDriver[]): void {
    this.#drivers = drivers
    for (const fn of this.#pci.functions) this.#probe(fn)
    this.#pci.onAdded((fn) => this.#probe(fn))
    this.#pci.onRemoved((fn) => this.#drop(fn))
  }
  /** Takes all groups apart, last first. */
  close(): void {
    for (const device of [...this.#others.keys()].toReversed()) this.removeDevice(device)
    for (const fn of [...this.#of.keys()].toReversed()) this.#drop(fn)
  }

  /** Groups by number; numbers of groups that ended are missing. */
  get groups(): readonly Group[] {
    return this.#groups.filter((g) => g !== undefined)
  }
  /** @returns the group of a function; undefined when no IOMMU covers it */
  of(fn: PciFunction): Group | undefined {
    return this.#of.get(fn)?.group
  }
  /** @returns the group of the function at `00:02.0` or `0001:00:02.0`; @throws RangeError when there is none */
  containing(place: string): Group {
    const group = this.of(this.#pci.get(place))
    if (!group) throw new RangeError(`${place} is in no group: no IOMMU covers it`)
    return group
  }
  /** @returns a function as its IOMMU driver sees it */
  deviceOf(fn: PciFunction): IommuDevice | undefined {
    return this.#of.get(fn)?.device
  }

  /** The group of a device of any bus. */
  groupOf(device: IommuDevice): Group | undefined {
    return device.fn ? this.of(device.fn) : this.#others.get(device)
  }
  /** A device that is no PCI function is there: it gets a group of its own (generic_device_group). @throws UapiError as `Group.add` */
  addDevice(device: IommuDevice): Group {
    const group = this.#make()
    try {
      group.add(device, [])
    } catch (error) {
      this.#end(group)
      throw error
    }
    this.#others.set(device, group)
    this.#listener?.deviceJoined?.(group, deviceName(device))
    return group
  }
  /** It goes away, with its group. @throws Error when it is not there */
  removeDevice(device: IommuDevice): void {
    const group = this.#others.get(device)
    if (!group) throw new Error('iommu groups: a device leaves that is not there')
    this.#others.delete(device)
    this.#listener?.deviceLeft?.(group, deviceName(device))
    if (group.remove(device)) this.#end(group)
  }

  /** Why a function that an IOMMU covers is in no group. */
  probeError(fn: PciFunction): UapiError | undefined {
    return this.#errors.get(fn)
  }

  /** Takes a number for a group that no IOMMU knows: of an emulated device, of a function without an IOMMU. Lowest first. */
  takeNumber(): number {
    const id = this.#free()
    this.#taken.add(id)
    return id
  }
  /** Gives such a number back. */
  giveNumber(id: number): void {
    this.#taken.delete(id)
  }

  /** A driver that uses the DMA API binds. @param dmaBits address bits it sets @throws UapiError EBUSY while the group has an owner */
  use(fn: PciFunction, dmaBits?: number): void {
    this.of(fn)?.use()
    if (dmaBits !== undefined) this.deviceOf(fn)?.setDmaMask?.(dmaBits)
  }
  /** That driver unbinds. */
  unuse(fn: PciFunction): void {
    this.of(fn)?.unuse()
  }

  claims(): readonly Claim[] {
    const empty = this.groups.filter((g) => g.devices.length === 0)
    return [{ kind: 'count', what: 'groups without members', actual: empty.length, expected: 0 }]
  }

  #probe(fn: PciFunction): void {
    for (const driver of this.#drivers) {
      const device = driver.probe(fn)
      if (!device) continue
      if (device.endpoint) return this.#joinEndpoint(fn, device, device.endpoint)
      const { join, reasons } = groupingOf(fn, this.#pci, (other) => this.#of.has(other))
      const group = (join && this.of(join)) ?? this.#make()
      this.#join(fn, device, group, reasons)
      return
    }
  }
  /** The driver sorts functions itself. */
  #joinEndpoint(fn: PciFunction, device: IommuDevice, { key, name }: NonNullable<IommuDevice['endpoint']>): void {
    const member = [...this.#of.values()].find((other) => other.device.endpoint?.key === key)
    const group = member?.group ?? this.#make(name)
    this.#join(fn, device, group, [{ kind: 'endpoint', about: fn, name, joined: member !== undefined }])
  }
  /** A function that cannot join goes on without DMA, as in Linux; `probeError` tells why. */
  #join(fn: PciFunction, device: IommuDevice, group: Group, reasons: readonly GroupReason[]): void {
    try {
      group.add(device, reasons)
      this.#of.set(fn, { group, device })
      this.#listener?.joined(group, fn)
    } catch (error) {
      device.release()
      if (group.devices.length === 0) this.#end(group)
      if (!(error instanceof UapiError)) throw error
      this.#errors.set(fn, error)
    }
  }
  #drop(fn: PciFunction): void {
    const entry = this.#of.get(fn)
    if (!entry) return
    this.#of.delete(fn)
    this.#listener?.left(entry.group, fn)
    if (entry.group.remove(entry.device)) this.#end(entry.group)
  }
  #end(group: Group): void {
    this.#groups[group.id] = undefined
    this.#listener?.gone(group)
  }
  #make(name?: string): Group {
    const id = this.#free()
    const group = (this.#groups[id] = new Group(id, name))
    this.#listener?.made(group)
    return group
  }
  /** The lowest free number, as ida_alloc gives it. */
  #free(): number {
    let id = 0
    while (this.#groups[id] !== undefined || this.#taken.has(id)) id++
    return id
  }
}
