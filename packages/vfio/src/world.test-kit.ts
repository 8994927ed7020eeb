/** A host with VFIO for tests: functions behind a tiny IOMMU, a driver that offers them, and a file that can hold devices. */
import {
  type AddressSpaceFile,
  type AddressSpaces,
  type Caller,
  Client,
  createHost,
  type Domain,
  Files,
  type Host,
  type IommuCaps,
  type IommuDevice,
  IommuDriver,
  type IovaRange,
  type Kernel,
  type PageRuns,
  type PagingDomain,
  parseBdf,
  Pci,
  type PciFunction,
  type Plugin,
  Processes,
  type ProcessOptions,
  type Prot,
  type ReservedRegion,
  UapiError,
  type VfioDriver,
  VfioDevices,
  type VfioDmaLogging,
  type VfioFeature,
  type VfioMigration,
  type VfioRegistration,
  type VfioSession,
  type VfioUse,
} from '@ioasis/core'
import { Vfio, vfio } from './plugin.ts'
import type { VfioRegistry } from './registry.ts'

/** A domain that remembers what it maps. */
export class ListDomain implements PagingDomain {
  readonly type = 'paging'
  readonly aperture: IovaRange = { first: 0n, last: 0xffff_ffffn }
  readonly pageSizes = 0x1000n
  readonly maps = new Map<bigint, { runs: PageRuns; prot: Prot; bytes: bigint }>()
  freed = false
  readonly coherency?: { enforce(): boolean; readonly enforced: boolean }

  constructor(enforces: boolean) {
    if (enforces) this.coherency = { enforce: () => true, enforced: true }
  }
  map(iova: bigint, runs: PageRuns, prot: Prot): void {
    let bytes = 0
    for (let i = 0; i < runs.count; i++) bytes += runs.bytes[i] as number
    this.maps.set(iova, { runs, prot, bytes: BigInt(bytes) })
  }
  unmap(iova: bigint, bytes: bigint): bigint {
    let found = 0n
    for (const [at, map] of this.maps) {
      if (at < iova || at >= iova + bytes) continue
      found += map.bytes
      this.maps.delete(at)
    }
    return found
  }
  sync(): void {}
  lookup(): undefined {
    return undefined
  }
  free(): void {
    this.freed = true
  }
}

const BLOCKED: Domain = { type: 'blocked' }
const IDENTITY: Domain = { type: 'identity' }
/** The interrupt window, as on x86. */
const RESERVED: readonly ReservedRegion[] = [
  { first: 0xfee0_0000n, last: 0xfeef_ffffn, type: 'msi', read: false, write: false },
]
const CAPS: IommuCaps = { cacheCoherent: true, enforcesCoherency: false, isolatedMsi: true, pasidBits: 0 }

/** What a test says about its IOMMU. */
export type Caps = Partial<IommuCaps>

function listIommu(caps: Caps): Plugin {
  const all = { ...CAPS, ...caps }
  const driver: IommuDriver = {
    name: 'list',
    probe: (fn): IommuDevice => ({
      fn,
      driver,
      caps: all,
      requesterIds: [fn.bdf],
      reserved: RESERVED,
      defaultDomain: IDENTITY,
      blocked: BLOCKED,
      attach: () => 'ok',
      release: () => undefined,
      paging: { alloc: () => new ListDomain(all.enforcesCoherency) },
    }),
  }
  const setup: Plugin['setup'] = (host) => host.provide(IommuDriver, driver)
  return { name: 'list-iommu', contract: 1, provides: [IommuDriver], setup }
}

/** Functions `00:01.0`, and two of one slot that cannot be told apart: `00:02.0` and `00:02.1`. */
const PLACES = ['00:01.0', '00:02.0', '00:02.1']
const functions: Plugin = {
  name: 'functions',
  contract: 1,
  needs: [Pci],
  setup: (host) => {
    for (const place of PLACES) {
      const config = new Uint8Array(256)
      config.set([0x34, 0x12, 0xe8, 0x11])
      if (place === '00:02.0') config[0x0e] = 0x80
      host.get(Pci).place({ name: place, config, bars: [] }, parseBdf(place) as { bdf: number })
    }
  },
}

/** A driver whose sessions write down what they are asked. */
export class ListDriver implements VfioDriver {
  readonly name = 'list'
  readonly connection: VfioDriver['connection']
  readonly log: string[] = []
  readonly features = new Map<number, VfioFeature>()
  migration: VfioMigration | undefined
  dmaLogging: VfioDmaLogging | undefined
  /** What the last open was given. */
  use: VfioUse | undefined
  /** Told of ranges that go, as an emulated device. */
  unmapped: (first: bigint, bytes: bigint) => void = () => undefined
  /** The next open fails with this. */
  refuses: UapiError | undefined

  constructor(target: PciFunction | string) {
    this.connection =
      typeof target === 'string'
        ? { kind: 'emulated', name: target, unmapped: (first, bytes) => this.unmapped(first, bytes) }
        : { kind: 'physical', fn: target }
  }
  open(_opener: Caller, use: VfioUse): VfioSession {
    if (this.refuses) throw this.refuses
    this.log.push('open')
    this.use = use
    const { log, features, migration, dmaLogging } = this
    return {
      ...(migration && { migration }),
      ...(dmaLogging && { dmaLogging }),
      info: { flags: 2, regions: 2, irqs: 2 },
      regionInfo: (index) => {
        if (index > 1) throw new UapiError('EINVAL', 'regionInfo')
        const capabilities = index === 1 ? [{ id: 3, version: 1, body: new Uint8Array(0) }] : []
        return { flags: 3, size: 0x1000n, offset: BigInt(index) << 40n, capabilities }
      },
      irqInfo: (index) => ({ flags: 1, count: 3 - index }),
      irqCount: (index) => 3 - index,
      setIrqs: (_caller, { index, start, count, action, data }) => {
        const event = data.kind === 'eventfd' ? data.event(0) : undefined
        event?.signal()
        log.push(`irq ${index} ${start}+${count} ${action} ${data.kind}`)
      },
      read: (_caller, _offset, into) => into.fill(0x5a).length,
      write: (_caller, _offset, from) => from.length,
      mmap: () => {
        throw new UapiError('EINVAL', 'mmap')
      },
      reset: () => void log.push('reset'),
      features,
      ioctl: (_caller, number) => {
        throw new UapiError('ENOTTY', 'ioctl', { number })
      },
      power: { wake: () => void log.push('wake'), idle: () => void log.push('idle') },
      request: (count) => void log.push(`request ${count}`),
      close: () => void log.push('close'),
    }
  }
}

/** A file that holds devices and writes down what is asked of it. Object 7 can be attached to; it is also the container's. */
export class SpaceFile implements AddressSpaceFile {
  readonly log: string[] = []
  readonly addressSpaces: AddressSpaces
  #ids = 0

  /** @param container it can stand in a container's place; `ioas` is what it answers then, default 7 */
  constructor(container: boolean | { readonly ioas: number | undefined } = true) {
    const { log } = this
    const ioas = typeof container === 'object' ? container.ioas : 7
    const attach = (target: number, pasid?: number): number => {
      if (target !== 7) throw new UapiError('ENOENT', 'attach', { target })
      log.push(pasid === undefined ? 'attach' : `attach ${pasid}`)
      return 8
    }
    const detach = (pasid?: number): void => void log.push(pasid === undefined ? 'detach' : `detach ${pasid}`)
    const bound = (unbind: () => void) => ({ id: ++this.#ids, attach, detach, unbind })
    this.addressSpaces = {
      bindDevice: (fn) => {
        log.push(`bind ${fn.name}`)
        return bound(() => void log.push('unbind'))
      },
      bindAccess: (user) => {
        log.push(`access ${user.name}`)
        const nothing = { copy: () => 0, pin: () => [], unpin: () => undefined }
        return { ...bound(() => void log.push('unbind')), ...nothing }
      },
      owns: () => false,
      ...(container !== false && {
        container: {
          join: ({ noIommu }) => {
            log.push(noIommu ? 'join without IOMMU' : 'join')
            return () => void log.push('leave')
          },
          ioas: () => {
            if (ioas === undefined) throw new UapiError('ENODEV', 'ioas')
            return ioas
          },
        },
      }),
    }
  }
  release(): void {}
}

/** A host, its VFIO, and a program. */
export interface World {
  readonly host: Host
  readonly vfio: VfioRegistry
  readonly vmm: Client
  readonly fn: (place: string) => PciFunction
  /** Registers a device, by a function's place or the name of an emulated device. */
  readonly add: (target: string) => ListDriver & { readonly registration: VfioRegistration }
  /** Another program. */
  readonly spawn: (options?: ProcessOptions) => Client
  readonly exists: (path: string) => boolean
}

/** What differs from a host with type1 and cdevs whose IOMMU isolates interrupts. */
export interface WorldOptions {
  /** `none`: there is no IOMMU. */
  readonly caps?: Caps | 'none'
  readonly kernel?: Partial<Kernel>
  readonly plugins?: readonly Plugin[]
}

/** @param options what differs */
export function vfioWorld(options: WorldOptions = {}): World {
  const { caps = {}, kernel = {}, plugins = [] } = options
  const iommu = caps === 'none' ? [] : [listIommu(caps)]
  const host = createHost({ plugins: [...iommu, functions, vfio(), ...plugins], kernel })
  const fn = (place: string): PciFunction => host.get(Pci).get(place)
  const spawn = (process?: ProcessOptions): Client => new Client(host, host.get(Processes).spawn(process))
  return {
    host,
    vfio: host.get(Vfio),
    vmm: spawn(),
    fn,
    spawn,
    add: (target) => {
      const driver = new ListDriver(PLACES.includes(target) ? fn(target) : target)
      return Object.assign(driver, { registration: host.get(VfioDevices).add(driver) })
    },
    exists: (path) => host.get(Files).exists(path),
  }
}
