/** The contract of an IOMMU driver: the operating system's side of one vendor's hardware. */
import type { Bdf, Hpa, Iova, IovaRange, Pasid } from '../address.ts'
import type { PageRequest } from '../dma/unit.ts'
import type { PciFunction } from '../pci/function.ts'
import { type Token, tokens } from '../plugin/token.ts'
import type { Domain, NestedDomain, NestingFlags, PagingDomain, PagingOptions } from './domain.ts'
import type { UserData } from './user-data.ts'
import type { ViommuSupport } from './viommu.ts'

/** One vendor's driver. It may serve several units. */
export interface IommuDriver {
  readonly name: string
  /** It knows nested domains, whether or not the hardware at hand has them: what a refusal then says differs. Default false. */
  readonly nestedDomains?: boolean
  /**
   * User space can keep the PASID tables of its nested domains: page requests of a PASID that nobody attached go where those of
   * the function go, if that is a nested domain (ops->user_pasid_table). Default false.
   */
  readonly userPasidTable?: boolean
  /**
   * Looks at a function while the machine boots or when one is added.
   * @returns undefined when no unit of this driver covers it
   */
  probe(fn: PciFunction): IommuDevice | undefined
}
/** The IOMMU drivers of this host. */
export const IommuDriver: Token<IommuDriver> = tokens('IommuDriver')

/** What Linux asks with device_iommu_capable(), known before any domain exists. Plain data. */
export interface IommuCaps {
  /** IOMMU_CAP_CACHE_COHERENCY: DMA that asks for coherency is coherent. */
  readonly cacheCoherent: boolean
  /** IOMMU_CAP_ENFORCE_CACHE_COHERENCY: the hardware can ignore a device's No Snoop. */
  readonly enforcesCoherency: boolean
  /** The function's interrupt messages are isolated from other functions' (interrupt remapping). */
  readonly isolatedMsi: boolean
  /** Width of a PASID this function may use; 0: none. */
  readonly pasidBits: number
  /** IOMMU_CAP_PCI_ATS_SUPPORTED: the function may cache translations of this IOMMU (ATS). Default false. */
  readonly ats?: boolean
  /** IOMMU_CAP_DIRTY_TRACKING: domains made with `dirtyTracking` record what the function writes. Default false. */
  readonly dirtyTracking?: boolean
}

/** A range a domain of this device must leave alone or must map one to one; `/sys/kernel/iommu_groups/N/reserved_regions`. */
export interface ReservedRegion extends IovaRange {
  /** `direct`: map one to one (RMRR); `relaxable`: the same, may be ignored; `msi`: the interrupt window; `software-msi`: a window the software chose. */
  readonly type: 'direct' | 'relaxable' | 'reserved' | 'msi' | 'software-msi'
  readonly read: boolean
  readonly write: boolean
}

/** Why `attach` is asked. */
export interface AttachHow {
  /** Attach for this PASID; absent: for requests without one. */
  readonly pasid?: Pasid
  /** The domain attached until now: requests in flight see it or the new one, nothing else. */
  readonly replacing?: Domain
}
/** `incompatible`: this domain does not fit the unit; the caller makes another one. A value, because callers try. */
export type AttachResult = 'ok' | 'incompatible'

/** What hardware tells of itself (IOMMU_GET_HW_INFO). */
export interface HwInfo {
  /** Which kind of data, a number of the driver's uAPI, not 0. */
  readonly type: number
  readonly bytes: Uint8Array
}

/** One function as its IOMMU driver sees it. */
export interface IommuDevice {
  /** Undefined: it sits on another bus; `name` says what it is called. */
  readonly fn: PciFunction | undefined
  readonly name?: string
  readonly driver: IommuDriver
  /** The piece of hardware it stands behind (struct iommu_device): compared, never looked into. Absent: the driver has only one. */
  readonly unit?: object
  readonly caps: IommuCaps
  /** All ids its requests can carry: its own, and those of the bridges above that take ownership (`secondary:00.0`). */
  readonly requesterIds: readonly Bdf[]
  readonly reserved: readonly ReservedRegion[]
  /** What the kernel gives it at boot: the DMA API's paging domain, or identity. */
  readonly defaultDomain: Domain
  /** Refuses everything. */
  readonly blocked: Domain
  /** Hardware can pass requests through untranslated. */
  readonly identity?: Domain
  /**
   * Makes the unit use `domain` for this function, and flushes what it must.
   * @throws UapiError ENOMEM; nothing has changed then
   */
  attach(domain: Domain, how: AttachHow): AttachResult
  /** The function goes away: its entries are cleared, what it kept is freed. */
  release(): void
  /** Domains with page tables. Absent on POWER, which has `windows`. */
  readonly paging?: { alloc(options: PagingOptions): PagingDomain }
  /** Preset DMA windows (POWER); members of one group have the same. */
  readonly windows?: DmaWindows
  /** Recovery of a frozen endpoint (POWER); members of one group have the same. Absent: the endpoint has none. */
  readonly recovery?: ErrorRecovery
  /** The driver's own grouping (ops->device_group): functions with the same `key` share a group. Absent: by the bus. */
  readonly endpoint?: { readonly key: object; readonly name: string }
  /** A host driver says how many address bits the function has (dma_set_mask). Absent: nothing follows from it. */
  setDmaMask?(bits: number): void
  /**
   * A host driver gave the function message vectors (pci_alloc_irq_vectors): messages that carry their numbers pass from now on.
   * What must stand for that is made with the first ones, and stays until the function goes. Absent: messages need no leave.
   * @returns takes it back for these vectors; harmless once the function is gone
   * @throws UapiError ENOMEM, with nothing changed
   */
  allowMessages?(vectors: readonly number[]): () => void
  /**
   * Answer of IOMMU_GET_HW_INFO.
   * @param type what is asked for; 0: what there is
   * @throws UapiError EOPNOTSUPP for another kind
   */
  hwInfo?(type: number): HwInfo
  /** User-owned first stage on a parent domain. */
  readonly nesting?: {
    /** @param parent a domain of this driver, made with `nestParent` @throws UapiError as the driver refuses */
    alloc(parent: PagingDomain, data: UserData, flags: NestingFlags): NestedDomain
  }
  /** Slices of the IOMMU for guests. */
  readonly viommu?: ViommuSupport
  /** Recoverable faults of this function come here; the driver answers through the request itself. */
  readonly pageRequests?: { listen(listener: ((request: PageRequest) => void) | undefined): void }
}

/** How a device is called in messages. */
export const deviceName = ({ fn, name }: IommuDevice): string => fn?.name ?? name ?? 'device'
/** Whether two devices stand behind the same piece of hardware. */
export const sameUnit = (a: IommuDevice, b: IommuDevice): boolean => (a.unit ?? a.driver) === (b.unit ?? b.driver)

/** What a TCE allows: `read` (memory to device) and `write`; both absent: not present. The bits are those of a TCE. */
export const TCE_ACCESS = { NONE: 0, READ: 1, WRITE: 2, BOTH: 3 } as const
/** One of `TCE_ACCESS`. */
export type TceAccess = (typeof TCE_ACCESS)[keyof typeof TCE_ACCESS]

/** A window to be made. */
export interface WindowShape {
  /** log2 of the bytes one TCE maps, 12 to 34. */
  readonly pageShift: number
  /** Bytes of bus addresses, u64. */
  readonly bytes: bigint
  /** Levels of the table, 1 to 5. */
  readonly levels: number
}

/**
 * POWER: windows of TCEs in place of paging domains, one object for all members of a group (a partitionable endpoint).
 * `struct iommu_table_group` and its operations, arch/powerpc/include/asm/iommu.h. A window is made (`create`), programmed into
 * each group that is to see it (`set`), filled entry by entry, taken out of each group (`unset`) and let go (`put`).
 */
export interface DmaWindows {
  /** Windows of one platform fit all groups of that platform; compared by identity. */
  readonly platform: object
  readonly limits: {
    /** Windows at a time, u32; 0: the preset one only, so a container of the second kind is refused. */
    readonly count: number
    /** Bit n set: TCE pages of 2^n bytes. */
    readonly pageSizes: bigint
    readonly levels: number
    /** The preset window: the first slot's, of 4 KiB pages and one level. */
    readonly dma32: { readonly first: Iova; readonly bytes: bigint }
  }
  /** By slot, what is programmed now: the platform's own while it owns the group. */
  readonly present: readonly (DmaWindow | undefined)[]
  /** Bytes of tables a window of this shape is charged for before it is made; 0: no such window (EINVAL). */
  tableBytes(shape: WindowShape): bigint
  /**
   * Makes a window; on some platforms it is programmed by that already. The caller holds it once.
   * @param slot 0 or 1
   * @throws UapiError what the platform answers: EINVAL, ENOMEM, ENODEV, EPERM
   */
  create(slot: number, shape: WindowShape): DmaWindow
  /** Programs a window, of this group or of another on the platform. @throws UapiError EPERM where it cannot be shared, EIO */
  set(slot: number, window: DmaWindow): void
  /** Takes a window out; harmless for an empty slot. Entries are the caller's: he clears them before. @throws UapiError ENODEV, EIO */
  unset(slot: number): void
}

/**
 * One TCE table. Entries are numbered from 0, the first one at `first`; no call makes an object or a bigint. Whoever changes
 * entries calls `kill` afterwards: until then hardware may use what stood there.
 */
export interface DmaWindow {
  readonly first: Iova
  /** Bytes of bus addresses: `entries` pages, which may be more than was asked for. */
  readonly bytes: bigint
  /** Entries of the table. */
  readonly entries: number
  /** log2 of the bytes that one TCE maps. */
  readonly pageShift: number
  readonly levels: number
  /** Bytes of tables that its holder was charged for and is given back: `tableBytes` of its shape. */
  readonly tableBytes: bigint
  /**
   * Puts one entry (`struct iommu_table_ops` xchg_no_kill).
   * @param hpa a multiple of the window's page; 0 with `NONE`
   * @param access `NONE` clears the entry
   * @returns what stood there; its target is in `oldHpa` then
   * @throws UapiError ENOMEM when a level of the table cannot be had; what a hypervisor refuses with; nothing changed
   */
  exchange(index: number, hpa: Hpa, access: TceAccess): TceAccess
  /** Target of the entry that the last `exchange` replaced or the last `lookup` found. */
  readonly oldHpa: Hpa
  /** Reads an entry. @returns what it allows; its target is in `oldHpa` then */
  lookup(index: number): TceAccess
  /** Makes hardware forget what it caches of these entries, in every group the window is programmed in. */
  kill(index: number, count: number): void
  /** First entry from `index` on that may be present: whole levels that were never made are skipped. `entries`: none. */
  nextMade(index: number): number
  /** The user address an entry was made for, kept beside the table (it_userspace); 0: none. Below 2^53. */
  userAddress(index: number): number
  setUserAddress(index: number, uva: number): void
  /** One holder more. The groups it is programmed in hold it themselves. */
  hold(): void
  /** One holder less; the last one frees the tables. */
  put(): void
}

/** POWER: errors freeze an endpoint; who owns it recovers it (EEH). Answers are Linux's: 0 or positive, -errno. arch/powerpc/kernel/eeh.c */
export interface ErrorRecovery {
  /** @param option 0 off, 1 on, 2 thaw MMIO, 3 thaw DMA (EEH_OPT_*) @returns 0, -EIO, -EINVAL */
  setOption(option: number): number
  /** @returns EEH_PE_STATE_*: 0 normal, 1 in reset, 2 stopped, 4 DMA stopped, 5 not available */
  state(): number
  /** @param kind 0 end of reset, 1 hot, 3 fundamental (EEH_RESET_*) @returns 0, -EIO, -EINVAL */
  reset(kind: number): number
  /** Restores what a reset took from bridges. @returns 0 or -errno */
  configure(): number
  /** @param type 0: 32 bits, 1: 64 bits @param func EEH_ERR_FUNC_*, 0 to 19 @returns 0, -EINVAL, -ERANGE, -EIO */
  inject(type: number, func: number, address: bigint, mask: bigint): number
  /** Somebody opens or closes a device of it: a frozen endpoint is set to work again (eeh_dev_open). @returns 0 or -errno */
  changeOwner(): number
}
