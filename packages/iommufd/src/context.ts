/** What stands behind one open /dev/iommu: objects, groups, how pins are counted. It lives as long as somebody uses it. */
import { type Caller, type FailurePoints, type Group, type GroupRegistry, PageRunList } from '@ioasis/core'
import type { DeviceGroup } from './device-group.ts'
import type { Ioas, IoasContext } from './ioas.ts'
import { MmapAreas } from './mmap-areas.ts'
import { ObjectTable } from './object.ts'
import type { AccountMode, PagesOwner } from './accounting.ts'

/** What contexts need of their host. */
export interface ContextParts {
  readonly groups: GroupRegistry
  /** Bytes of a page of the CPU. */
  readonly pageBytes: number
  /** CONFIG_IOMMUFD_TEST. */
  readonly test: boolean
  /** The module's parameter `allow_unsafe_interrupts`: also devices whose interrupts the platform does not isolate. */
  readonly unsafeInterrupts?: { readonly enabled: boolean }
  /** Where small allocations fail when a test wants it. */
  readonly failures?: FailurePoints | undefined
}

/** One context (struct iommufd_ctx). */
export class IommufdContext implements IoasContext {
  readonly parts: ContextParts
  readonly objects: ObjectTable
  /** What drivers offer through mmap(2). */
  readonly mmaps: MmapAreas
  /** Groups with a bound device. */
  readonly groups: Map<Group, DeviceGroup> = new Map()
  /** How pins of callers without CAP_IPC_LOCK are counted (IOMMU_OPTION_RLIMIT_MODE). */
  accountMode: 'user' | 'mm'
  /** What container calls act on (IOMMU_VFIO_IOAS). */
  compatIoas: Ioas | undefined
  /** A no-IOMMU group took the file as its container. */
  noIommu = false
  readonly #ended: (context: IommufdContext) => void
  #holders = 1
  #owner: PagesOwner | undefined

  /**
   * @param accountMode `mm` for a file opened as /dev/vfio/vfio
   * @param ended told when nobody uses it any more
   */
  constructor(parts: ContextParts, accountMode: 'user' | 'mm', ended: (context: IommufdContext) => void = () => {}) {
    this.parts = parts
    this.objects = new ObjectTable(parts.failures)
    this.mmaps = new MmapAreas(parts.pageBytes, this)
    this.accountMode = accountMode
    this.#ended = ended
  }

  /** Somebody keeps it alive after the last close: a bound device, a group, an event file. */
  hold(): void {
    this.#holders++
  }
  /** One less. The last one destroys all objects. */
  release(): void {
    if (--this.#holders > 0) return
    this.objects.clear()
    this.#ended(this)
  }
  /** Who maps, as Linux latches it: memory, process and user of the caller. */
  ownerOf({ process }: Caller): PagesOwner {
    const { addressSpace, user } = process
    const last = this.#owner
    if (last?.addressSpace === addressSpace && last.process === process && last.user === user) return last
    return (this.#owner = { addressSpace, process, user, scratch: new PageRunList() })
  }
  /** How a new mapping's pins are counted: not at all for who may lock without limit. */
  accountFor({ process }: Caller): AccountMode {
    return process.can('CAP_IPC_LOCK') ? 'none' : this.accountMode
  }
}
