/**
 * Which driver has which function: the driver core's bind, unbind and driver_override. Follows pci_match_device() and
 * pci_dma_configure() of drivers/pci/pci-driver.c, and the order of really_probe(): DMA first, then the driver's probe.
 */
import { UapiError } from '../errno.ts'
import type { PciFunction } from '../pci/function.ts'
import type { PciTopology } from '../pci/topology.ts'
import { type Token, token } from '../plugin/token.ts'
import { allOf, Completion, type Removal, REMOVED } from './completion.ts'
import { idMatches, type PciId } from './pci-id.ts'

/** A driver of PCI functions. */
export interface PciDriver {
  /** `vfio-pci`, `pcieport`: the name of its directory in /sys/bus/pci/drivers. */
  readonly name: string
  readonly ids: readonly PciId[]
  /** driver_managed_dma: it does not use the DMA API, or sees to the group's ownership itself (vfio-pci, pcieport, pci-stub). */
  readonly managesDma?: boolean
  /** Address bits its devices have, as it tells the DMA API (dma_set_mask). Absent: 32. */
  readonly dmaBits?: number
  /** Takes the function. @throws UapiError when it cannot; nothing stays behind then */
  probe(fn: PciFunction): void
  /**
   * Somebody wrote `sriov_numvfs`: switches that many virtual functions on, or all off. Absent: ENOENT.
   * @throws UapiError when it does not
   */
  sriovConfigure?(fn: PciFunction, count: number): void
  /** Gives it back; pending while somebody still uses the device. `REMOVED` when there is nothing to wait for. */
  remove(fn: PciFunction): Removal
}

/** Who keeps count of functions whose drivers use the DMA API: the groups. */
export interface DmaClaims {
  /** iommu_device_use_default_domain(). @param dmaBits address bits the driver sets @throws UapiError EBUSY while the group belongs to user space */
  use(fn: PciFunction, dmaBits?: number): void
  /** iommu_device_unuse_default_domain(). */
  unuse(fn: PciFunction): void
}

interface Binding {
  readonly driver: PciDriver
  removal?: Completion
}

/** The drivers of one host and what they are bound to. Nothing binds by itself before `start`. */
export class DriverCore {
  /** /sys/bus/pci/drivers_autoprobe: functions and drivers that appear are tried with each other. */
  autoprobe = true
  readonly #pci: PciTopology
  readonly #claims: DmaClaims
  readonly #drivers = new Map<string, { readonly driver: PciDriver; readonly added: PciId[] }>()
  readonly #bound = new Map<PciFunction, Binding>()
  readonly #overrides = new WeakMap<PciFunction, string>()
  readonly #errors = new WeakMap<PciFunction, UapiError>()
  readonly #watchers: ((driver: PciDriver, registered: boolean) => void)[] = []
  #started = false

  constructor(pci: PciTopology, claims: DmaClaims) {
    this.#pci = pci
    this.#claims = claims
    // Before anybody else who listens: the driver lets go while the function is still in its group.
    pci.onRemoved((fn) => {
      if (this.#bound.has(fn)) this.#release(fn)
    })
  }

  /** The machine boots: drivers are tried with every function in bus order, and from now on with those that appear. */
  start(): void {
    if (this.#started) return
    this.#started = true
    for (const fn of this.#pci.functions) this.#autoattach(fn)
    this.#pci.onAdded((fn) => this.#autoattach(fn))
  }

  /**
   * Registers a driver; after `start` it is tried with every function that has none.
   * @throws UapiError EBUSY when the name is taken
   */
  register(driver: PciDriver): void {
    if (this.#drivers.has(driver.name)) throw new UapiError('EBUSY', 'driver_register', { driver: driver.name })
    this.#drivers.set(driver.name, { driver, added: [] })
    for (const watcher of this.#watchers) watcher(driver, true)
    this.#tryEverywhere(driver)
  }
  /** Unbinds it everywhere and forgets it. @returns pending while one of its devices is still used */
  unregister(name: string): Removal {
    const { driver } = this.#named(name, 'driver_unregister')
    this.#drivers.delete(name)
    for (const watcher of this.#watchers) watcher(driver, false)
    const bound = [...this.#bound].filter(([, binding]) => binding.driver === driver).map(([fn]) => fn)
    return allOf(bound.map((fn) => this.#release(fn)))
  }
  /** Tells of drivers that are registered and unregistered from now on. */
  onRegistered(watcher: (driver: PciDriver, registered: boolean) => void): void {
    this.#watchers.push(watcher)
  }
  /** Registered drivers, in the order of registration. */
  get drivers(): readonly PciDriver[] {
    return [...this.#drivers.values()].map((entry) => entry.driver)
  }

  /** The driver a function is bound to, also while it is being removed. */
  driverOf(fn: PciFunction): PciDriver | undefined {
    return this.#bound.get(fn)?.driver
  }
  /** Why the last probe of this function failed, as the kernel's log would tell. */
  probeError(fn: PciFunction): UapiError | undefined {
    return this.#errors.get(fn)
  }
  /** Functions bound to a driver, in the order they were bound. */
  boundTo(name: string): readonly PciFunction[] {
    return [...this.#bound].filter(([, { driver }]) => driver.name === name).map(([fn]) => fn)
  }

  /** Writes `driver_override`: only that driver may bind from now on, whatever its ids say. Empty: none. What is bound stays. */
  setOverride(fn: PciFunction, name: string | undefined): void {
    if (name) this.#overrides.set(fn, name)
    else this.#overrides.delete(fn)
  }
  /** Reads `driver_override`. */
  overrideOf(fn: PciFunction): string | undefined {
    return this.#overrides.get(fn)
  }

  /**
   * Writes the function's name to a driver's `bind`.
   * @throws UapiError ENOENT: no such driver. ENODEV: not on its bus, or the driver does not match. EBUSY: it has a driver,
   * or its group belongs to user space. Else what the probe answered
   */
  bind(name: string, fn: PciFunction): void {
    const { driver } = this.#named(name, 'bind')
    if (!fn.present || !this.matches(driver, fn)) throw new UapiError('ENODEV', 'bind', { driver: name, fn: fn.name })
    this.#probe(driver, fn)
  }
  /**
   * Writes the function's name to a driver's `unbind`.
   * @returns pending while the device is still used; a second call returns the same removal
   * @throws UapiError ENOENT: no such driver. ENODEV: it is not bound to this driver
   */
  unbind(name: string, fn: PciFunction): Removal {
    const { driver } = this.#named(name, 'unbind')
    if (this.driverOf(fn) !== driver) throw new UapiError('ENODEV', 'unbind', { driver: name, fn: fn.name })
    return this.#release(fn)
  }
  /** Writes the function's name to `drivers_probe`: tries every driver that matches. @returns the one that took it */
  attach(fn: PciFunction): PciDriver | undefined {
    if (this.#bound.has(fn)) return this.driverOf(fn)
    for (const driver of this.drivers) if (this.matches(driver, fn) && this.#tried(driver, fn)) return driver
    return undefined
  }
  /** Orderly removal of a function and everything behind it: drivers let go first, then it leaves the bus. */
  unplug(fn: PciFunction): Removal {
    const all = [...new Set(this.#withBehind(fn))]
    const left = new Completion()
    allOf(all.toReversed().map((one) => (this.#bound.has(one) ? this.#release(one) : REMOVED))).onDone(() => {
      if (fn.present) this.#pci.remove(fn)
      left.finish()
    })
    return left
  }

  /** Writes a driver's `new_id`. @throws UapiError ENOENT: no such driver. EEXIST: it has that id */
  addId(name: string, id: PciId): void {
    const entry = this.#named(name, 'new_id')
    const known = [...entry.driver.ids, ...entry.added].some((other) => sameId(other, id))
    if (known) throw new UapiError('EEXIST', 'new_id', { driver: name })
    entry.added.push(id)
    this.#tryEverywhere(entry.driver)
  }
  /** Writes a driver's `remove_id`. What is bound stays. @throws UapiError ENOENT: no such driver. ENODEV: it was not added */
  removeId(name: string, id: PciId): void {
    const { added } = this.#named(name, 'remove_id')
    const i = added.findIndex((other) => sameId(other, id))
    if (i < 0) throw new UapiError('ENODEV', 'remove_id', { driver: name })
    added.splice(i, 1)
  }
  /** Whether a driver may bind a function: `driver_override` decides alone where it is set. */
  matches(driver: PciDriver, fn: PciFunction): boolean {
    const override = this.#overrides.get(fn)
    if (override !== undefined) return override === driver.name
    const added = this.#drivers.get(driver.name)?.added ?? []
    return [...added, ...driver.ids].some((id) => !id.overrideOnly && idMatches(id, fn))
  }

  #named(name: string, operation: string): { readonly driver: PciDriver; readonly added: PciId[] } {
    const entry = this.#drivers.get(name)
    if (!entry) throw new UapiError('ENOENT', operation, { driver: name })
    return entry
  }
  #autoattach(fn: PciFunction): void {
    if (this.autoprobe) this.attach(fn)
  }
  #tryEverywhere(driver: PciDriver): void {
    if (!this.#started || !this.autoprobe) return
    for (const fn of this.#pci.functions) if (!this.#bound.has(fn) && this.matches(driver, fn)) this.#tried(driver, fn)
  }
  #tried(driver: PciDriver, fn: PciFunction): boolean {
    try {
      this.#probe(driver, fn)
      return true
    } catch (error) {
      if (error instanceof UapiError) return false
      throw error
    }
  }
  #probe(driver: PciDriver, fn: PciFunction): void {
    if (this.#bound.has(fn)) throw new UapiError('EBUSY', 'bind', { driver: driver.name, fn: fn.name })
    if (!this.#canProbe(fn)) throw new UapiError('ENODEV', 'bind', { driver: driver.name, fn: fn.name })
    try {
      if (!driver.managesDma) this.#claims.use(fn, driver.dmaBits)
      try {
        this.#bound.set(fn, { driver })
        driver.probe(fn)
      } catch (error) {
        this.#bound.delete(fn)
        if (!driver.managesDma) this.#claims.unuse(fn)
        throw error
      }
      this.#errors.delete(fn)
    } catch (error) {
      if (error instanceof UapiError) this.#errors.set(fn, error)
      throw error
    }
  }
  /** pci_device_can_probe(): virtual functions may be kept for who asks for them by name. */
  #canProbe(fn: PciFunction): boolean {
    return !fn.virtfn || this.#overrides.has(fn) || fn.virtfn.physfn.sriov?.driversAutoprobe !== false
  }
  #release(fn: PciFunction): Removal {
    const binding = this.#bound.get(fn) as Binding
    if (binding.removal) return binding.removal
    const removal = (binding.removal = new Completion())
    binding.driver.remove(fn).onDone(() => {
      this.#bound.delete(fn)
      if (!binding.driver.managesDma) this.#claims.unuse(fn)
      removal.finish()
    })
    return removal
  }
  #withBehind(fn: PciFunction): PciFunction[] {
    const virtfns = fn.sriov?.virtfns ?? []
    return [fn, ...virtfns, ...this.#pci.children(fn).flatMap((child) => this.#withBehind(child))]
  }
}
/** The drivers of this host. */
export const Drivers: Token<DriverCore> = token('Drivers')

const sameId = (a: PciId, b: PciId): boolean =>
  a.vendor === b.vendor &&
  a.device === b.device &&
  a.subvendor === b.subvendor &&
  a.subdevice === b.subdevice &&
  a.class === b.class &&
  a.classMask === b.classMask
