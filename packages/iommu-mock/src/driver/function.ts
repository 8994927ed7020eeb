/** Functions on PCI behind the mock's own silicon: paging domains of 2 KiB pages, identity, blocked. */
import {
  type AttachResult,
  type Bdf,
  type Cpu,
  type Domain,
  type Hpa,
  type IommuCaps,
  type IommuDevice,
  type IommuDriver,
  MSI_WINDOW,
  type PagingOptions,
  type PciFunction,
  type ReservedRegion,
} from '@ioasis/core'
import { DEVICE_ENTRY } from '../spec/device-table.ts'
import type { MockDomain } from './domain.ts'

/** The entries of all requesters. Functions behind one bridge share a requester, which follows the last that was attached. */
export class DeviceTable {
  readonly #cpu: Cpu
  readonly #table: Hpa
  readonly #attached = new Map<PciFunction, Domain>()

  /** @param table where it lies, zeroed */
  constructor(cpu: Cpu, table: Hpa) {
    this.#cpu = cpu
    this.#table = table
  }
  /** @param domain undefined: the function is gone */
  set(fn: PciFunction, domain: Domain | undefined): void {
    this.#attached.delete(fn)
    if (domain) this.#attached.set(fn, domain)
    this.#write(fn.requester)
  }
  /** A domain records writes now, or does not any more. */
  refresh(domain: Domain): void {
    for (const [fn, now] of this.#attached) if (now === domain) this.#write(fn.requester)
  }
  /** Every requester with what its requests see. */
  get all(): readonly { readonly fn: PciFunction; readonly domain: Domain }[] {
    const last = new Map([...this.#attached].map(([fn, domain]) => [fn.requester, { fn, domain }]))
    return [...last.values()]
  }

  #seenBy(requester: Bdf): Domain | undefined {
    return [...this.#attached].findLast(([fn]) => fn.requester === requester)?.[1]
  }
  #write(requester: Bdf): void {
    const domain = this.#seenBy(requester)
    this.#cpu.store(this.#table + requester * 8, 8, BigInt(domain ? entryOf(domain) : 0))
  }
}

function entryOf(domain: Domain): number {
  if (domain.type === 'identity') return DEVICE_ENTRY.THROUGH
  if (domain.type !== 'paging') return 0
  const { root, tracking } = domain as MockDomain
  return root + DEVICE_ENTRY.TABLE + (tracking ? DEVICE_ENTRY.TRACKS : 0)
}

/** What a function needs of its driver. */
export interface FunctionParts {
  readonly driver: IommuDriver
  readonly table: DeviceTable
  readonly blocked: Domain
  readonly identity: Domain
  alloc(options: PagingOptions): MockDomain
}

const CAPS: IommuCaps = {
  cacheCoherent: true,
  enforcesCoherency: false,
  isolatedMsi: false,
  pasidBits: 0,
  dirtyTracking: true,
}
const MESSAGES: ReservedRegion = {
  first: BigInt(MSI_WINDOW.first),
  last: BigInt(MSI_WINDOW.last),
  type: 'msi',
  read: false,
  write: true,
}

/** One function. */
export class MockFunction implements IommuDevice {
  readonly fn: PciFunction
  readonly driver: IommuDriver
  readonly caps: IommuCaps = CAPS
  readonly requesterIds: readonly Bdf[]
  readonly reserved: readonly ReservedRegion[] = [MESSAGES]
  readonly defaultDomain: Domain
  readonly identity: Domain
  readonly blocked: Domain
  readonly paging: NonNullable<IommuDevice['paging']>
  readonly #table: DeviceTable
  #domain: Domain | undefined

  constructor(fn: PciFunction, parts: FunctionParts) {
    const { driver, table, blocked, identity } = parts
    this.fn = fn
    this.driver = driver
    this.requesterIds = [fn.requester]
    this.defaultDomain = this.identity = identity
    this.blocked = blocked
    this.paging = { alloc: (options) => parts.alloc(options) }
    this.#table = table
  }
  attach(domain: Domain): AttachResult {
    if (domain.type !== 'paging' && domain !== this.identity && domain !== this.blocked) return 'incompatible'
    this.#move(domain)
    return 'ok'
  }
  release(): void {
    this.#move(undefined)
  }

  #move(domain: Domain | undefined): void {
    if (this.#domain?.type === 'paging') (this.#domain as MockDomain).attached--
    this.#domain = domain
    if (domain?.type === 'paging') (domain as MockDomain).attached++
    this.#table.set(this.fn, domain)
  }
}
