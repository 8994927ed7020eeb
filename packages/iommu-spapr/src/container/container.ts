/**
 * One container with a SPAPR back end: its groups, its windows, the memory registered through it, and the one address space
 * that may use it. drivers/vfio/vfio_iommu_spapr_tce.c.
 */
import {
  type AddressSpace,
  type Caller,
  type ContainerMember,
  type DmaWindow,
  type DmaWindows,
  type ErrorRecovery,
  RegisteredMemory,
  type RegisteredRegion,
  UapiError,
} from '@ioasis/core'
import { VFIO_EXTENSION } from '@ioasis/uapi'
import type { Entries } from './entries.ts'
import type { Ledger } from './ledger.ts'
import { ContainerWindows, type WindowOwner } from './windows.ts'

const { VFIO_SPAPR_TCE_IOMMU, VFIO_SPAPR_TCE_v2_IOMMU, VFIO_EEH } = VFIO_EXTENSION

/** What containers use of their host. */
export interface ContainerHost {
  readonly ledger: Ledger
  /** Bytes of one page of the kernel. */
  readonly pageBytes: number
  /** Endpoints are frozen by errors and recovered by who owns them. */
  readonly eeh: boolean
  /** Pages that one registered region can have. */
  readonly mostPages: number
  /** Memory of this address space is registered now. */
  uses(space: AddressSpace): void
  closed(container: SpaprContainer): void
}

interface Joined {
  readonly member: ContainerMember
  readonly windows: DmaWindows
}

/** What one container has. */
export class SpaprContainer implements WindowOwner {
  readonly v2: boolean
  readonly host: ContainerHost
  readonly windows: ContainerWindows = new ContainerWindows(this)
  /** Maps are allowed: version 1 was enabled, or something was registered once with version 2. */
  enabled = false
  /** Pages charged by ENABLE. */
  enabledPages = 0
  readonly registered: RegisteredRegion[] = []
  /** The newest first, as Linux has them. */
  readonly #joined: Joined[] = []
  #space: AddressSpace | undefined

  constructor(host: ContainerHost, v2: boolean) {
    this.host = host
    this.v2 = v2
  }

  get ledger(): Ledger {
    return this.host.ledger
  }
  get groups(): readonly DmaWindows[] {
    return this.#joined.map(({ windows }) => windows)
  }
  /** Who recovers each group from errors; undefined: it is not an endpoint that errors freeze. */
  get recoveries(): readonly (ErrorRecovery | undefined)[] {
    return this.#joined.map(({ member }) => member.iommu?.devices[0]?.recovery)
  }
  /** The address space that owns it; undefined until one does something that matters. */
  get space(): AddressSpace | undefined {
    return this.#space
  }

  checkExtension(extension: number): number {
    if (extension === VFIO_EEH) return this.host.eeh ? 1 : 0
    return extension === VFIO_SPAPR_TCE_IOMMU || extension === VFIO_SPAPR_TCE_v2_IOMMU ? 1 : 0
  }
  /** From now on the caller's address space alone may use it. @throws UapiError EPERM when another has it (tce_iommu_mm_set) */
  latch({ process }: Caller): AddressSpace {
    this.#space ??= process.addressSpace
    if (this.#space !== process.addressSpace) throw new UapiError('EPERM', 'tce_iommu_mm_set', { pid: process.pid })
    return this.#space
  }

  attach(member: ContainerMember): void {
    const what = 'tce_iommu_attach_group'
    if (!member.iommu) throw new UapiError('EINVAL', what, { group: member.id })
    const windows = member.iommu.devices[0]?.windows
    if (!windows) throw new UapiError('ENODEV', what, { group: member.id })
    if (this.v2 && windows.limits.count === 0) throw new UapiError('EINVAL', what, { group: member.id })
    if (!this.v2 && this.#joined.length > 0) throw new UapiError('EBUSY', what, { group: member.id })
    for (const { member: other, windows: theirs } of this.#joined) {
      if (other.iommu === member.iommu) throw new UapiError('EBUSY', what, { group: member.id })
      if (theirs.platform !== windows.platform) throw new UapiError('EPERM', what, { group: member.id })
    }
    const preset = this.#joined.length === 0 && !this.windows.hasFirst
    try {
      this.windows.give(windows)
    } finally {
      if (preset) this.windows.presetPending = true
    }
    this.#joined.unshift({ member, windows })
  }
  detach(member: ContainerMember): void {
    const at = this.#joined.findIndex((joined) => joined.member === member)
    const [gone] = this.#joined.splice(at, 1)
    if (gone) this.windows.takeFrom(gone.windows, this.#space)
  }
  close(): void {
    while (this.#joined[0]) this.detach(this.#joined[0].member)
    this.windows.freeAll(this.#space)
    for (const region of this.registered) this.#forget(region)
    this.registered.length = 0
    this.disable()
    this.host.closed(this)
  }

  /** @throws UapiError EBUSY, ENODEV, EPERM, ENOMEM (tce_iommu_enable) */
  enable(caller: Caller): void {
    const what = 'VFIO_IOMMU_ENABLE'
    if (this.enabled) throw new UapiError('EBUSY', what)
    const [first] = this.groups
    if (!first) throw new UapiError('ENODEV', what)
    const { bytes } = first.limits.dma32
    if (bytes === 0n) throw new UapiError('EPERM', what)
    const pages = this.ledger.pagesOf(bytes)
    this.ledger.charge(caller, this.latch(caller), pages)
    this.enabledPages = pages
    this.enabled = true
  }
  /** What is mapped stays mapped, and devices go on (tce_iommu_disable). */
  disable(): void {
    if (!this.enabled || !this.#space) return
    this.enabled = false
    this.ledger.uncharge(this.#space, this.enabledPages)
    this.enabledPages = 0
  }
  /** Makes and clears entries of a window. */
  entriesOf(window: DmaWindow, caller: Caller): Entries {
    return this.windows.entriesOf(window, this.latch(caller))
  }
  /**
   * @param first uva of a page @param pages how many
   * @returns 0, or what Linux returns when a later page cannot be pinned: how many could
   * @throws UapiError EBUSY when this container has it already; as `RegisteredMemory.create`
   */
  register(caller: Caller, first: bigint, pages: number): number {
    const memory = RegisteredMemory.of(this.latch(caller))
    const shared = memory.get(first, pages)
    if (shared && this.registered.includes(shared)) {
      memory.put(shared)
      throw new UapiError('EBUSY', 'VFIO_IOMMU_SPAPR_REGISTER_MEMORY', { first, pages })
    }
    const region = shared ?? memory.create(first, pages, caller.process.lockLimit, this.host.mostPages)
    if (typeof region === 'number') return region
    this.registered.unshift(region)
    this.host.uses(this.latch(caller))
    this.enabled = true
    return 0
  }
  /**
   * Linux looks the region up with one user more, so that the last user is never seen to go while TCEs lead into it: the call
   * succeeds, and the region stays with a user that nobody is.
   * @throws UapiError ENOENT for another range than a registered one, or one of another container
   */
  unregister(caller: Caller, first: bigint, pages: number): void {
    const memory = RegisteredMemory.of(this.latch(caller))
    const region = memory.get(first, pages)
    if (!region) throw new UapiError('ENOENT', 'VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY', { first, pages })
    const at = this.registered.indexOf(region)
    if (at >= 0) {
      memory.put(region)
      this.registered.splice(at, 1)
    }
    this.#forget(region)
    if (at < 0) throw new UapiError('ENOENT', 'VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY', { first, pages })
  }

  /** One user less; a region that TCEs lead into keeps its last one. */
  #forget(region: RegisteredRegion): void {
    if (!this.#space) return
    try {
      RegisteredMemory.of(this.#space).put(region)
    } catch (error) {
      if (!(error instanceof UapiError)) throw error
    }
  }
}
