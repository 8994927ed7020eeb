/** A host whose functions vfio-pci has, for tests: a small IOMMU, models with the capabilities a test asks for, a program. */
import {
  type AddressSpaceFile,
  type Bar,
  Client,
  createHost,
  type Domain,
  type FunctionModel,
  type Host,
  type IommuDevice,
  type LegacyVga,
  IommuDriver,
  type MmioWindow,
  parseBdf,
  Pci,
  type PciFunction,
  type Plugin,
  Processes,
} from '@ioasis/core'
import { VFIO_DEVICE_BIND_IOMMUFD } from '@ioasis/uapi'
import { Vfio, vfio } from '@ioasis/vfio'
import { get, put } from './config/permission.ts'
import type { VfioPciDevice } from './device.ts'
import { vfioPci } from './plugin.ts'
import type { PciSession } from './session.ts'

const BLOCKED: Domain = { type: 'blocked' }
const IDENTITY: Domain = { type: 'identity' }
const caps = { cacheCoherent: true, enforcesCoherency: false, isolatedMsi: true, pasidBits: 0 }
const driver: IommuDriver = {
  name: 'none',
  probe: (fn): IommuDevice => {
    const calls = { attach: () => 'ok' as const, release: () => undefined }
    return {
      fn,
      driver,
      caps,
      requesterIds: [fn.bdf],
      reserved: [],
      defaultDomain: IDENTITY,
      blocked: BLOCKED,
      ...calls,
    }
  },
}
const iommu: Plugin = {
  name: 'iommu',
  contract: 1,
  provides: [IommuDriver],
  setup: (host) => host.provide(IommuDriver, driver),
}

/** Where `model` puts capabilities. */
export const AT = {
  express: 0x40,
  pm: 0x80,
  msi: 0x90,
  vendor: 0xa0,
  msix: 0xb0,
  af: 0xd0,
  vpd: 0xe0,
  aer: 0x100,
  dsn: 0x140,
} as const
/** Where BARs lie. */
export const BAR = { memory: 0xe000_0000, io: 0xc000, wide: 0xf000_0000, rom: 0xe800_0000 } as const

/** What a test says about a function. */
export interface ModelOptions {
  /** PCI Express endpoint; `flr`: with function level reset. */
  readonly express?: boolean | 'flr'
  /** PMCSR; 0: the function forgets its registers between D3hot and D0. */
  readonly pm?: number
  /** Message Control. */
  readonly msi?: number
  /** Entries, at the start of BAR 0. */
  readonly msix?: number
  /** Other capabilities: vendor-specific, advanced features with reset, product data. */
  readonly more?: readonly ('vendor' | 'af' | 'vpd')[]
  readonly pin?: number
  readonly classCode?: number
  readonly bars?: readonly ('memory' | 'io' | 'wide' | 'rom')[]
  /** Bytes at the beginning of the ROM. */
  readonly rom?: Uint8Array
  readonly bridge?: boolean
  readonly vga?: LegacyVga
}

/** A model that keeps what is written to its memory BAR, and counts resets. */
export class Model implements FunctionModel {
  readonly name = 'test'
  readonly config: Uint8Array
  readonly bars: readonly Bar[]
  readonly registers: Uint8Array = new Uint8Array(0x2000)
  resets = 0
  fn: PciFunction | undefined
  readonly writable?: Uint8Array
  readonly vga?: LegacyVga

  constructor(options: ModelOptions = {}) {
    const { bars = ['memory'] } = options
    if (options.vga) this.vga = options.vga
    this.bars = options.bridge === true ? [] : bars.map((kind) => barOf(kind, this.registers, options.rom))
    this.config = configOf(options, bars)
  }
  attached(fn: PciFunction): void {
    this.fn = fn
  }
  reset(): void {
    this.resets++
  }
}

function barOf(kind: keyof typeof BAR, registers: Uint8Array, rom: Uint8Array = new Uint8Array(0)): Bar {
  const bytes = kind === 'rom' ? rom : registers
  const window: MmioWindow = {
    load: (at, size) => {
      let value = 0n
      for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[at + i] ?? 0)
      return value
    },
    store: (at, size, value) => put(bytes, at, size === 8 ? 4 : size, Number(value & 0xffff_ffffn)),
  }
  const plain = { wide: false, prefetchable: false, window }
  const bars: Readonly<Record<keyof typeof BAR, Bar>> = {
    memory: { ...plain, index: 0, size: 0x2000, space: 'memory' },
    io: { ...plain, index: 1, size: 0x20, space: 'io' },
    wide: { ...plain, index: 2, size: 0x1000, space: 'memory', wide: true, prefetchable: true },
    rom: { ...plain, index: 6, size: 0x1000, space: 'rom' },
  }
  return bars[kind]
}
const BAR_REGISTER = { memory: 0x10, io: 0x14, wide: 0x18, rom: 0x30 } as const

function configOf(options: ModelOptions, bars: readonly (keyof typeof BAR)[]): Uint8Array {
  const config = new Uint8Array(options.express ? 4096 : 256)
  put(config, 0, 4, 0x11e8_1234)
  put(config, 4, 2, 0x0107)
  put(config, 9, 2, 0)
  put(config, 0x0a, 2, options.classCode ?? 0x0200)
  config[0x3d] = options.pin ?? 0
  if (options.bridge) {
    config[0x0e] = 1
    config.set([0, 1, 1], 0x18)
    put(config, 0x20, 4, 0xfff0_e000)
  } else for (const kind of bars) put(config, BAR_REGISTER[kind], 4, BAR[kind])
  let link = 0x34
  const add = (at: number, id: number, bytes: readonly number[]): void => {
    config[6] = 0x10
    config[link] = at
    config.set([id, 0, ...bytes], at)
    link = at + 1
  }
  if (options.express) add(AT.express, 0x10, [2, 0, 0, 0, 0, options.express === 'flr' ? 0x10 : 0])
  if (options.pm !== undefined) add(AT.pm, 0x01, [0x02, 0xc8, options.pm, 0])
  if (options.msi !== undefined) add(AT.msi, 0x05, [options.msi & 0xff, options.msi >> 8])
  if (options.more?.includes('vendor')) add(AT.vendor, 0x09, [8, 1, 2, 3, 4, 5])
  if (options.msix !== undefined) add(AT.msix, 0x11, [options.msix - 1, 0, 0, 0, 0, 0, 0, 0x08])
  if (options.more?.includes('af')) add(AT.af, 0x13, [6, 3, 0, 0])
  if (options.more?.includes('vpd')) add(AT.vpd, 0x03, [0, 0, 0, 0, 0, 0])
  if (options.express) {
    put(config, AT.aer, 4, 0x1402_0001)
    put(config, AT.dsn, 4, 0x0001_0003)
  }
  return config
}

const bindAccess = (): never => {
  throw new Error('no emulated devices here')
}
/** A file that binds devices and never attaches them. */
function boundFile(): AddressSpaceFile {
  let ids = 0
  const bindDevice: AddressSpaceFile['addressSpaces']['bindDevice'] = () => ({
    id: ++ids,
    attach: (target) => target,
    detach: () => undefined,
    unbind: () => undefined,
  })
  return { addressSpaces: { bindDevice, bindAccess, owns: () => false }, release: () => undefined }
}

/** A host, a program, and functions by place. */
export interface World {
  readonly host: Host
  readonly vmm: Client
  readonly fn: (place: string) => PciFunction
  /** Descriptor of a device, bound. */
  readonly open: (index?: number) => number
  /** The opened function. */
  readonly session: (place?: string) => PciSession
  readonly device: (place?: string) => VfioPciDevice
  /** An address-space file that binds devices. */
  readonly space: () => AddressSpaceFile
}

/** Gives the n-th function addresses of its own. */
function spread({ config }: Model, n: number): void {
  if (config[0x0e] !== 1 && get(config, 0x10, 4) !== 0) put(config, 0x10, 4, BAR.memory + n * 0x1_0000)
}

/** @param models by place; a bridge at 00:03.0 leads to bus 1. All but bridges are bound, in order */
export function pciWorld(models: Readonly<Record<string, Model>>): World {
  const places = Object.keys(models)
  const functions: Plugin = {
    name: 'functions',
    contract: 1,
    needs: [Pci],
    setup: (host) => {
      Object.values(models).forEach(spread)
      for (const [place, model] of Object.entries(models))
        host.get(Pci).place(model, parseBdf(place) as { bdf: number })
    },
  }
  const bind = places.filter((place) => models[place]?.config[0x0e] !== 1)
  const host = createHost({ plugins: [iommu, functions, vfio(), vfioPci({ bind })] })
  const vmm = new Client(host, host.get(Processes).spawn())
  const fn = (place: string): PciFunction => host.get(Pci).get(place)
  const iommufd = vmm.adopt(boundFile())
  const device = (place = bind[0] ?? ''): VfioPciDevice => host.get(Vfio).deviceOf(fn(place))?.driver as VfioPciDevice
  return {
    host,
    vmm,
    fn,
    device,
    space: boundFile,
    open: (index = 0) => {
      const fd = vmm.open(`/dev/vfio/devices/vfio${index}`)
      vmm.ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, { iommufd })
      return fd
    },
    session: (place) => {
      const { session } = device(place)
      if (!session) throw new Error('not open')
      return session
    },
  }
}

/** Reads and writes of a configuration space. */
export interface ConfigAccess {
  readonly read: (at: number, size: 1 | 2 | 4) => number
  readonly write: (at: number, size: 1 | 2 | 4, value: number) => void
}

/** One function at 00:01.0, opened. @returns reads and writes of its configuration space besides */
export function openedWorld(options: ModelOptions = {}): World & {
  readonly model: Model
  readonly fd: number
  readonly config: ConfigAccess
} {
  const model = new Model(options)
  const world = pciWorld({ '00:01.0': model })
  const fd = world.open()
  return { ...world, model, fd, config: configAccess(world.vmm, fd) }
}

const CONFIG_OFFSET = 7n << 40n
/** Configuration space through the file. */
export function configAccess(vmm: Client, fd: number): ConfigAccess {
  return {
    read(at, size) {
      const into = new Uint8Array(size)
      vmm.pread(fd, CONFIG_OFFSET + BigInt(at), into)
      return into.reduceRight((value, byte) => value * 256 + byte, 0)
    },
    write(at, size, value) {
      const from = new Uint8Array(size)
      put(from, 0, size, value)
      vmm.pwrite(fd, CONFIG_OFFSET + BigInt(at), from)
    },
  }
}
