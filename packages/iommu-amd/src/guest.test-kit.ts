/** A guest on a domain of the driver: its memory, its CPU, the tables it writes, and a first stage made of them. */
import {
  Client,
  type Cpu,
  Cpus,
  hpaHi,
  type Hpa,
  type Host,
  pageRuns,
  Pages,
  type PagingDomain,
  Processes,
  UapiError,
  UserData,
} from '@ioasis/core'
import { PageTable, x86_64 } from '@ioasis/page-table'
import { composeWorld, type DriverVariant, type DriverWorld } from '@ioasis/testkit/kits'
import type { AmdDevice } from './driver/device.ts'
import type { AmdDomain } from './driver/domain.ts'
import { type AmdNestedDomain, type AmdViommu, HWPT_DATA_AMD_GUEST, iommuHwptAmdGuest } from './driver/nested-domain.ts'
import { amdIommu, type AmdOptions, DEFAULT_UNIT } from './index.ts'

/** Guest memory in pages: data, which the host may take away, then tables. */
export const DATA_PAGES = 1024
export const TABLE_PAGES = 512
const PAGE = 4096

/** A world whose driver makes first stages. */
export function nestingWorld(variant: DriverVariant, options: AmdOptions = {}): DriverWorld & { readonly host: Host } {
  const units = [{ ...DEFAULT_UNIT, lag: variant.lag }]
  return composeWorld(variant, [amdIommu({ units, connectNesting: true, ...options })])
}

/** What the guest's kernel has of its machine. */
export class Guest {
  readonly host: Host
  readonly device: AmdDevice
  readonly parent: AmdDomain
  readonly viommu: AmdViommu
  readonly cpu: Cpu
  /** Where each guest page lies; undefined: the host took it. */
  readonly backing: (Hpa | undefined)[]
  readonly #free: number[]
  readonly #vmm: Client

  constructor(world: DriverWorld & { readonly host: Host }) {
    this.host = world.host
    this.device = world.devices[0]?.iommu as AmdDevice
    this.parent = this.device.paging.alloc({ nestParent: true }) as AmdDomain
    this.viommu = this.device.viommu.alloc(undefined as never, this.parent, undefined) as AmdViommu
    this.#vmm = new Client(world.host, world.host.get(Processes).spawn())
    const pages = world.host.get(Pages)
    this.backing = Array.from({ length: DATA_PAGES + TABLE_PAGES }, () => pages.alloc(PAGE, 'guest memory'))
    this.backing.forEach((hpa, i) => this.give(i, hpa as Hpa, true))
    this.#free = Array.from({ length: TABLE_PAGES }, (_, i) => (DATA_PAGES + i) * PAGE).toReversed()
    this.cpu = new GuestCpu(world.host.get(Cpus)[0], this.parent) as unknown as Cpu
  }

  /** The host backs a guest page. */
  give(page: number, hpa: Hpa, write: boolean): void {
    this.parent.map(BigInt(page * PAGE), pageRuns([hpa, PAGE]), { read: true, write })
    this.backing[page] = hpa
  }
  /** A zeroed page of the guest's own. */
  alloc = (): number => {
    const gpa = this.#free.pop()
    if (gpa === undefined) throw new UapiError('ENOMEM', 'guest')
    this.cpu.write(gpa, new Uint8Array(PAGE))
    return gpa
  }
  free = (gpa: number): void => void this.#free.push(gpa)
  /** An empty table of four levels. */
  table(): PageTable {
    const pages = { alloc: this.alloc, free: this.free }
    return new PageTable(
      x86_64,
      { topLevel: 3, pageSizes: 0x4020_1000n, iovaBits: 47 },
      { cpu: this.cpu, pages, flushWrites: false },
    )
  }
  /** The guest's device table entry with these tables for PASID 0, tagged with an id of its choice. */
  dte(table: PageTable, id: number): readonly [bigint, bigint, bigint, bigint] {
    const gcr3 = BigInt(this.alloc())
    this.cpu.store(Number(gcr3), 8, BigInt(table.root) | 1n)
    const low = 3n | (1n << 54n) | (1n << 55n) | (((gcr3 >> 12n) & 7n) << 58n) | (3n << 61n)
    return [low, BigInt(id) | (((gcr3 >> 15n) & 0xffffn) << 16n) | ((gcr3 >> 31n) << 43n), 0n, 0n]
  }
  /** IOMMU_HWPT_ALLOC on the slice. @throws UapiError */
  first(
    [dte0, dte1, dte2, dte3]: readonly [bigint, bigint, bigint, bigint],
    type = HWPT_DATA_AMD_GUEST,
  ): AmdNestedDomain {
    const bytes = iommuHwptAmdGuest.make({ dte0, dte1, dte2, dte3 })
    const data = new UserData(
      { process: this.#vmm.process },
      {
        type,
        uva: this.#vmm.put(bytes),
        bytes: bytes.length,
      },
    )
    const { allocNested } = this.viommu
    if (!allocNested) throw new UapiError('EOPNOTSUPP', 'iommufd_viommu_alloc_hwpt_nested')
    return allocNested(data) as AmdNestedDomain
  }
  /** The guest's invalidation of a first stage, which its hypervisor carries out. */
  invalidate({ id }: AmdNestedDomain): void {
    const all = { first: 0n, last: 0xffff_ffff_ffff_ffffn, directories: true }
    this.device.unit.invalidate([{ kind: 'pages', domain: id, ...all, pasid: 0 }])
  }
}

/** The guest's CPU: addresses are the guest's, and go where the parent leads. */
class GuestCpu {
  readonly words: readonly undefined[] = []
  lo = 0
  hi = 0
  readonly #cpu: Cpu
  readonly #parent: PagingDomain

  constructor(cpu: Cpu, parent: PagingDomain) {
    this.#cpu = cpu
    this.#parent = parent
  }
  chunkForWriting(): undefined {
    return undefined
  }
  load(gpa: number, size: 1 | 2 | 4 | 8): bigint {
    return this.#cpu.load(this.#at(gpa), size)
  }
  store(gpa: number, size: 1 | 2 | 4 | 8, value: bigint): void {
    this.#cpu.store(this.#at(gpa), size, value)
  }
  loadWords(gpa: number): void {
    this.#cpu.loadWords(this.#at(gpa))
    this.lo = this.#cpu.lo
    this.hi = this.#cpu.hi
  }
  storeWords(gpa: number, lo: number, hi: number): void {
    this.#cpu.storeWords(this.#at(gpa), lo, hi)
  }
  write(gpa: number, from: Uint8Array): number {
    return this.#cpu.write(this.#at(gpa), from)
  }
  #at(gpa: number): Hpa {
    const hpa = this.#parent.lookup(BigInt(gpa))
    if (hpa === undefined || hpaHi(hpa) < 0) throw new Error(`guest: no memory at ${gpa.toString(16)}`)
    return hpa
  }
}
