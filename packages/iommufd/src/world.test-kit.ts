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
  type Frames,
  type FunctionModel,
  type Host,
  type HwInfo,
  IommuDriver,
  IommuGroups,
  type Iova,
  type Kernel,
  type PageRequest,
  Pci,
  type Plugin,
  Processes,
  type ProcessOptions,
  type ReservedRegion,
  UapiError,
  UserFrames,
  type Uva,
} from '@ioasis/core'
import { mustBeSound } from '@ioasis/testkit'
import { PaperDomain, type PaperOptions } from './paper-domain.test-kit.ts'
import { PAPER_DATA, PAPER_TYPE, PaperNested, paperViommus, type PaperViommus } from './paper-nesting.test-kit.ts'
import { iommufd } from './plugin.ts'
import { IOMMU_HWPT_ALLOC, IOMMU_IOAS_ALLOC, IOMMU_IOAS_IOVA_RANGES, IOMMU_IOAS_MAP, IOMMU_IOAS_UNMAP } from './uapi.ts'

export { PaperDomain, type PaperOptions }

/** The interrupt window of x86. */
export const MSI: ReservedRegion = { first: 0xfee00000n, last: 0xfeefffffn, type: 'msi', read: true, write: true }

/** A device's side: what it is attached to, and its page requests. */
export interface PaperDevice {
  attached: Domain
  readonly pasids: Map<number, Domain>
  request(request: Omit<PageRequest, 'respond' | 'requester'>): { answer: string | undefined }
}

const HERE = {}
const ELSEWHERE = {}
const isPaper = (domain: Domain | undefined): domain is PaperDomain | PaperNested =>
  domain instanceof PaperDomain || domain instanceof PaperNested
const BLOCKED: Domain = { type: 'blocked' }
const DEFAULT: Domain = { type: 'identity' }

const masterModel = (multifunction: boolean, pasidControl?: number): FunctionModel => {
  const config = new Uint8Array(pasidControl === undefined ? 256 : 4096)
  const view = new DataView(config.buffer)
  view.setUint32(0, 0x0001_1af4, true)
  view.setUint16(4, 0x0004, true)
  view.setUint32(8, 0xff00_0000, true)
  config[0x0e] = multifunction ? 0x80 : 0
  if (pasidControl !== undefined) {
    // An integrated endpoint with a PASID capability.
    view.setUint16(6, 0x0010, true)
    config[0x34] = 0x40
    view.setUint32(0x40, 0x0092_0010, true)
    view.setUint32(0x100, 0x0001_001b, true)
    view.setUint16(0x106, pasidControl, true)
  }
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
  readonly nested: PaperNested[] = []
  readonly viommus: PaperViommus = paperViommus((made) => this.#nested(made))
  readonly devices = new Map<string, PaperDevice>()
  /** Domains made from now on fail their n-th map. */
  failMapAfter: number | undefined

  constructor(
    options: PaperOptions & {
      readonly kernel?: Partial<Kernel>
      readonly process?: ProcessOptions
      readonly plugins?: readonly Plugin[]
      /** Set up before the rest. */
      readonly before?: readonly Plugin[]
    } = {},
  ) {
    const paper: Plugin = {
      name: 'paper-iommu',
      contract: 1,
      needs: [Pci, UserFrames],
      provides: [IommuDriver, AuditSource],
      setup: (host) => {
        for (const [device, fn] of Object.values(FUNCTIONS)) {
          host.get(Pci).place(masterModel(device === 3, options.pasidControl), { bdf: bdf(0, device, fn) })
        }
        host.provide(IommuDriver, this.#driver(host.get(UserFrames), options))
        host.provide(AuditSource, { name: 'paper', claims: () => this.domains.flatMap(mappedBy) })
      },
    }
    this.host = createHost({
      plugins: [...(options.before ?? []), paper, iommufd(), ...(options.plugins ?? [])],
      machine: { ram: 64 << 20 },
      kernel: options.kernel ?? {},
    })
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
      .devices.find((d) => d.fn?.name.endsWith(nameOf(name)))
    if (!device?.fn) throw new Error(`no device ${name}`)
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
      domains: [...this.domains, ...this.nested].filter((d) => !d.freed).length,
      owners: this.host.get(IommuGroups).groups.filter((g) => g.owner).length,
      charged: addressSpace.pinnedPages + addressSpace.locked.pages + user.locked.pages,
    }
  }

  #nested(made: PaperNested): PaperNested {
    this.nested.push(made)
    return made
  }
  #driver(frames: Frames, options: PaperOptions): IommuDriver {
    const { hwInfo } = options
    const driver: IommuDriver = {
      name: 'paper',
      userPasidTable: true,
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
            dirtyTracking: options.advanced ?? false,
            pasidBits: options.pasidBits ?? 0,
            ats: options.ats ?? false,
          },
          requesterIds: [fn.requester],
          reserved: options.reserved ?? [MSI],
          defaultDomain: DEFAULT,
          blocked: BLOCKED,
          ...(hwInfo && { hwInfo: answersInfo(hwInfo) }),
          ...(options.paging !== false && {
            paging: {
              alloc: (wanted) => {
                const known = options.advanced === true || !(wanted.nestParent || wanted.dirtyTracking)
                if (wanted.data || !known) throw new UapiError('EOPNOTSUPP', 'paper domain')
                const domain = new PaperDomain(frames, place, options, wanted)
                domain.failMapAfter = this.failMapAfter
                this.domains.push(domain)
                return domain
              },
            },
          }),
          ...(options.advanced === true && {
            unit: options.elsewhere?.includes(place) ? ELSEWHERE : HERE,
            nesting: {
              alloc: (parent, data) => this.#nested(new PaperNested(parent, data.read(PAPER_DATA, PAPER_TYPE).value)),
            },
            viommu: this.viommus.support,
          }),
          pageRequests: { listen: (listener) => (state.listener = listener) },
          attach: (domain, { pasid }) => {
            if (refuses(domain)) return 'incompatible'
            const old = pasid === undefined ? state.attached : state.pasids.get(pasid)
            if (isPaper(old)) old.users--
            if (isPaper(domain)) domain.users++
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

const answersInfo =
  (info: NonNullable<PaperOptions['hwInfo']>): ((asked: number) => HwInfo) =>
  (asked) => {
    if (asked !== 0 && asked !== info.type) throw new UapiError('EOPNOTSUPP', 'paper hw info')
    return { type: info.type, bytes: info.read() }
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
