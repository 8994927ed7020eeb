/** A machine with an IOMMU on paper, for the tests of this package: domains are maps of pages that notice broken promises. */
import {
  type AccessUser,
  type AddressSpaces,
  type BoundAccess,
  type BoundDevice,
  AuditSource,
  bdf,
  type Claim,
  Client,
  createHost,
  type Domain,
  type Errno,
  type FlushGather,
  type Frames,
  type FunctionModel,
  type Host,
  type Hpa,
  IommuDriver,
  IommuGroups,
  type Iova,
  type IovaRange,
  type Kernel,
  type PageRequest,
  type PageRuns,
  type PagingDomain,
  Pci,
  type Plugin,
  Processes,
  type ProcessOptions,
  type Prot,
  type ReservedRegion,
  UapiError,
  UserFrames,
  type Uva,
} from '@ioasis/core'
import { mustBeSound } from '@ioasis/testkit'
import { iommufd } from './plugin.ts'
import { IOMMU_HWPT_ALLOC, IOMMU_IOAS_ALLOC, IOMMU_IOAS_IOVA_RANGES, IOMMU_IOAS_MAP, IOMMU_IOAS_UNMAP } from './uapi.ts'

/** How the IOMMU of a test is. */
export interface PaperOptions {
  readonly aperture?: IovaRange
  readonly pageSizes?: bigint
  readonly enforcesCoherency?: boolean
  readonly isolatedMsi?: boolean
  readonly cacheCoherent?: boolean
  readonly pasidBits?: number
  readonly ats?: boolean
  readonly reserved?: readonly ReservedRegion[]
  readonly hwInfo?: { readonly type: number; read(): Uint8Array }
  /** Names of functions that refuse every paging domain but their own. */
  readonly choosy?: readonly string[]
  readonly paging?: boolean
}

/** The interrupt window of x86. */
export const MSI: ReservedRegion = { first: 0xfee00000n, last: 0xfeefffffn, type: 'msi', read: true, write: true }
const PAGE = 4096

/** Maps pages of 4 KiB. Unpinning before a flush, double maps and freeing while attached are errors. */
export class PaperDomain implements PagingDomain {
  readonly type = 'paging'
  readonly aperture: IovaRange
  readonly pageSizes: bigint
  readonly owner: string
  readonly pages = new Map<Iova, { readonly hpa: Hpa; readonly prot: Prot; readonly run: number }>()
  readonly coherency: { enforce(): boolean; readonly enforced: boolean }
  users = 0
  freed = false
  flushes = 0
  /** Maps until one fails with ENOMEM. */
  failMapAfter: number | undefined
  #unflushed: Hpa[] = []
  readonly #frames: Frames

  constructor(frames: Frames, owner: string, options: PaperOptions) {
    this.#frames = frames
    this.owner = owner
    this.aperture = options.aperture ?? { first: 0n, last: (1n << 48n) - 1n }
    this.pageSizes = options.pageSizes ?? 0x1000n
    let enforced = false
    this.coherency = {
      enforce: () => (enforced = options.enforcesCoherency ?? false),
      get enforced() {
        return enforced
      },
    }
  }
  map(iova: Iova, runs: PageRuns, prot: Prot): void {
    if (this.failMapAfter !== undefined && --this.failMapAfter === 0) throw new UapiError('ENOMEM', 'paper map')
    let at = iova
    for (let i = 0; i < runs.count; i++) {
      const run = runs.bytes[i] as number
      for (let done = 0; done < run; done += PAGE, at += 4096n) {
        if (this.pages.has(at)) throw new Error(`paper: ${at} is mapped`)
        this.pages.set(at, { hpa: (runs.hpa[i] as number) + done, prot, run })
      }
    }
  }
  unmap(iova: Iova, bytes: bigint): bigint {
    let found = 0n
    for (let at = iova; at < iova + bytes; at += 4096n) {
      const page = this.pages.get(at)
      if (!page) continue
      this.pages.delete(at)
      if (!page.prot.mmio) this.#unflushed.push(page.hpa)
      found += 4096n
    }
    return found
  }
  sync(_gather: FlushGather): void {
    for (const hpa of this.#unflushed) {
      if (this.#frames.pinsOf(hpa - (hpa % this.#frames.pageBytes)) === 0)
        throw new Error(`paper: ${hpa} was let go before the flush`)
    }
    this.#unflushed = []
    this.flushes++
  }
  lookup(iova: Iova): Hpa | undefined {
    const page = this.pages.get(iova - (iova % 4096n))
    return page && page.hpa + Number(iova % 4096n)
  }
  free(): void {
    if (this.users > 0 || this.pages.size > 0 || this.#unflushed.length > 0)
      throw new Error('paper: freed while in use')
    this.freed = true
  }
}

/** A device's side: what it is attached to, and its page requests. */
export interface PaperDevice {
  attached: Domain
  readonly pasids: Map<number, Domain>
  request(request: Omit<PageRequest, 'respond' | 'requester'>): { answer: string | undefined }
}

const BLOCKED: Domain = { type: 'blocked' }
const DEFAULT: Domain = { type: 'identity' }

const masterModel = (multifunction: boolean): FunctionModel => {
  const config = new Uint8Array(256)
  const view = new DataView(config.buffer)
  view.setUint32(0, 0x0001_1af4, true)
  view.setUint16(4, 0x0004, true)
  view.setUint32(8, 0xff00_0000, true)
  config[0x0e] = multifunction ? 0x80 : 0
  return { name: 'dma master', config, bars: [] }
}

/** Functions of every world: two alone, two in one group. */
const FUNCTIONS = { a: [1, 0], b: [2, 0], c: [3, 0], d: [3, 1] } as const
export type DeviceName = keyof typeof FUNCTIONS
const nameOf = (name: DeviceName): string => `00:0${FUNCTIONS[name][0]}.${FUNCTIONS[name][1]}`

/** A host, its only user program, and the IOMMU it can look into. */
export class World {
  readonly host: Host
  readonly client: Client
  readonly domains: PaperDomain[] = []
  readonly devices = new Map<string, PaperDevice>()
  /** Domains made from now on fail their n-th map. */
  failMapAfter: number | undefined

  constructor(options: PaperOptions & { readonly kernel?: Partial<Kernel>; readonly process?: ProcessOptions } = {}) {
    const paper: Plugin = {
      name: 'paper-iommu',
      contract: 1,
      needs: [Pci, UserFrames],
      provides: [IommuDriver, AuditSource],
      setup: (host) => {
        for (const [device, fn] of Object.values(FUNCTIONS)) {
          host.get(Pci).place(masterModel(device === 3), { bdf: bdf(0, device, fn) })
        }
        host.provide(IommuDriver, this.#driver(host.get(UserFrames), options))
        host.provide(AuditSource, { name: 'paper', claims: () => this.domains.flatMap(mappedBy) })
      },
    }
    this.host = createHost({ plugins: [paper, iommufd()], machine: { ram: 64 << 20 }, kernel: options.kernel ?? {} })
    this.client = this.spawn(options.process)
  }
  spawn(options?: ProcessOptions): Client {
    return new Client(this.host, this.host.get(Processes).spawn(options))
  }

  get frames(): Frames {
    return this.host.get(UserFrames)
  }
  /** Opens /dev/iommu. */
  open(client: Client = this.client): number {
    return client.open('/dev/iommu')
  }
  spaces(fd: number, client: Client = this.client): AddressSpaces {
    return (client.fds.get(fd) as unknown as { readonly addressSpaces: AddressSpaces }).addressSpaces
  }
  bind(fd: number, name: DeviceName): BoundDevice {
    const device = this.host
      .get(IommuGroups)
      .containing(nameOf(name))
      .devices.find((d) => d.fn.name.endsWith(nameOf(name)))
    if (!device) throw new Error(`no device ${name}`)
    return this.spaces(fd).bindDevice(device.fn, device)
  }
  access(fd: number, user: Partial<AccessUser> = {}): BoundAccess {
    return this.spaces(fd).bindAccess({ name: 'test', needsPins: true, unmapped: () => {}, ...user })
  }
  paper(name: DeviceName): PaperDevice {
    return this.devices.get(nameOf(name)) as PaperDevice
  }
  ioas(fd: number): number {
    return this.client.ioctl(fd, IOMMU_IOAS_ALLOC, {}).out_ioas_id
  }
  hwpt(fd: number, dev_id: number, pt_id: number, flags = 0): number {
    return this.client.ioctl(fd, IOMMU_HWPT_ALLOC, { dev_id, pt_id, flags }).out_hwpt_id
  }
  /** A buffer of the program. */
  memory(pages: number, how: { readonly read?: boolean; readonly write?: boolean } = {}): Uva {
    return this.client.mmap({ bytes: pages * this.frames.pageBytes, ...how })
  }
  /** MAP at a fixed iova, readable and writable. */
  map(fd: number, ioas_id: number, user_va: Uva, bytes: number | bigint, iova: Iova, flags = 7): Iova {
    return this.client.ioctl(fd, IOMMU_IOAS_MAP, { ioas_id, user_va, length: BigInt(bytes), iova, flags }).iova
  }
  unmap(fd: number, ioas_id: number, iova: Iova, bytes: number | bigint): bigint {
    return this.client.ioctl(fd, IOMMU_IOAS_UNMAP, { ioas_id, iova, length: BigInt(bytes) }).length
  }
  ranges(
    fd: number,
    ioas_id: number,
  ): { readonly ranges: readonly (readonly [bigint, bigint])[]; readonly alignment: bigint } {
    const room = this.memory(1)
    const out = this.client.ioctl(fd, IOMMU_IOAS_IOVA_RANGES, { ioas_id, num_iovas: 16, allowed_iovas: room })
    const view = new DataView(this.client.peek(room, 16 * out.num_iovas).buffer)
    const at = (i: number): bigint => view.getBigUint64(8 * i, true)
    return {
      ranges: Array.from({ length: out.num_iovas }, (_, i) => [at(2 * i), at(2 * i + 1)] as const),
      alignment: out.out_iova_alignment,
    }
  }
  /** The host is sound. */
  audit(): void {
    mustBeSound(this.host)
  }
  /** The program exits; the machine is closed. @throws Error when something of iommufd is left */
  end(): void {
    this.client.exit()
    const left = Object.entries(this.leavesNothing()).filter(([, count]) => count > 0)
    if (left.length > 0) throw new Error(`left behind: ${left.map((entry) => entry.join(' ')).join(', ')}`)
    this.host.close()
  }
  /** What of iommufd is left: all 0 once everything is closed. */
  leavesNothing(): {
    readonly pins: number
    readonly domains: number
    readonly owners: number
    readonly charged: number
  } {
    this.audit()
    const { addressSpace, user } = this.client.process
    return {
      pins: this.frames.pinned,
      domains: this.domains.filter((d) => !d.freed).length,
      owners: this.host.get(IommuGroups).groups.filter((g) => g.owner).length,
      charged: addressSpace.pinnedPages + addressSpace.locked.pages + user.locked.pages,
    }
  }

  #driver(frames: Frames, options: PaperOptions): IommuDriver {
    const driver: IommuDriver = {
      name: 'paper',
      probe: (fn) => {
        const state: PaperDevice & { listener?: ((request: PageRequest) => void) | undefined } = {
          attached: BLOCKED,
          pasids: new Map(),
          request: (request) => {
            const got: { answer: string | undefined } = { answer: undefined }
            state.listener?.({ ...request, requester: fn.requester, respond: (code) => void (got.answer = code) })
            return got
          },
        }
        const place = fn.name.slice(-7)
        this.devices.set(place, state)
        const refuses = (domain: Domain): boolean =>
          domain instanceof PaperDomain && domain.owner !== place && (options.choosy ?? []).includes(place)
        return {
          fn,
          driver,
          caps: {
            cacheCoherent: options.cacheCoherent ?? true,
            enforcesCoherency: options.enforcesCoherency ?? false,
            isolatedMsi: options.isolatedMsi ?? true,
            pasidBits: options.pasidBits ?? 0,
            ats: options.ats ?? false,
          },
          requesterIds: [fn.requester],
          reserved: options.reserved ?? [MSI],
          defaultDomain: DEFAULT,
          blocked: BLOCKED,
          ...(options.hwInfo && { hwInfo: options.hwInfo }),
          ...(options.paging !== false && {
            paging: {
              alloc: () => {
                const domain = new PaperDomain(frames, place, options)
                domain.failMapAfter = this.failMapAfter
                this.domains.push(domain)
                return domain
              },
            },
          }),
          pageRequests: { listen: (listener) => (state.listener = listener) },
          attach: (domain, { pasid }) => {
            if (refuses(domain)) return 'incompatible'
            const old = pasid === undefined ? state.attached : state.pasids.get(pasid)
            if (old instanceof PaperDomain) old.users--
            if (domain instanceof PaperDomain) domain.users++
            if (pasid === undefined) state.attached = domain
            else state.pasids.set(pasid, domain)
            return 'ok'
          },
          release: () => {},
        }
      },
    }
    return driver
  }
}

function mappedBy(domain: PaperDomain): readonly Claim[] {
  return [...domain.pages].map(([iova, { hpa, prot }]) => ({
    kind: 'mapped' as const,
    domain,
    unit: '',
    tag: -1,
    iova,
    bytes: 4096n,
    hpa,
    write: prot.write,
  }))
}

/** The errno of a refusal; undefined: it was not refused. */
export function errnoOf(action: () => unknown): Errno | undefined {
  try {
    action()
  } catch (error) {
    if (error instanceof UapiError) return error.errno
    throw error
  }
  return undefined
}
