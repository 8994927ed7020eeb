/** A container with a SPAPR back end over windows too simple to be wrong: a map of entries, and a list of what was asked. */
import {
  Client,
  type ContainerMember,
  createHost,
  type DmaWindow,
  type DmaWindows,
  type ErrorRecovery,
  type Errno,
  type Group,
  type Host,
  type IoctlCall,
  Processes,
  TCE_ACCESS,
  type TceAccess,
  UapiError,
  type WindowShape,
} from '@ioasis/core'
import { VFIO_IOMMU_MAP_DMA, VFIO_IOMMU_UNMAP_DMA } from '@ioasis/uapi'
import { SpaprBackend, type SpaprSession } from './backend.ts'

/** A window whose table is a map. */
export class ListWindow implements DmaWindow {
  readonly first: bigint
  readonly bytes: bigint
  readonly entries: number
  readonly pageShift: number
  readonly levels: number
  readonly tableBytes: bigint
  readonly made = new Map<number, { readonly hpa: number; readonly access: TceAccess }>()
  readonly addresses = new Map<number, number>()
  readonly killed: (readonly [index: number, count: number])[] = []
  holders = 1
  oldHpa = 0
  /** The next exchange that makes an entry at or behind this one is refused with ENOMEM. */
  full = Infinity

  constructor(first: bigint, shape: WindowShape) {
    this.first = first
    this.bytes = shape.bytes
    this.pageShift = shape.pageShift
    this.levels = shape.levels
    this.entries = Number(shape.bytes >> BigInt(shape.pageShift))
    this.tableBytes = tableBytes(shape)
  }
  exchange(index: number, hpa: number, access: TceAccess): TceAccess {
    if (access !== TCE_ACCESS.NONE && index >= this.full) throw new UapiError('ENOMEM', 'exchange', { index })
    const old = this.lookup(index)
    if (access === TCE_ACCESS.NONE) this.made.delete(index)
    else this.made.set(index, { hpa, access })
    return old
  }
  lookup(index: number): TceAccess {
    const entry = this.made.get(index)
    this.oldHpa = entry?.hpa ?? 0
    return entry?.access ?? TCE_ACCESS.NONE
  }
  kill(index: number, count: number): void {
    this.killed.push([index, count])
  }
  nextMade(index: number): number {
    return Math.min(this.entries, ...[...this.made.keys()].filter((i) => i >= index))
  }
  userAddress(index: number): number {
    return this.addresses.get(index) ?? 0
  }
  setUserAddress(index: number, uva: number): void {
    this.addresses.set(index, uva)
  }
  hold(): void {
    this.holders++
  }
  put(): void {
    this.holders--
  }
}

const tableBytes = ({ bytes, pageShift, levels }: WindowShape): bigint =>
  levels === 0 || bytes === 0n ? 0n : ((bytes >> BigInt(pageShift)) * 8n + 4095n) & ~4095n

/** Windows of one endpoint. */
export class ListWindows implements DmaWindows {
  readonly platform: object
  limits: DmaWindows['limits'] = {
    count: 2,
    pageSizes: 0x1211000n,
    levels: 5,
    dma32: { first: 0n, bytes: 0x4000_0000n },
  }
  readonly present: (DmaWindow | undefined)[] = [undefined, undefined]
  readonly asked: string[] = []
  /** Answers of `create` and `set`, once each. */
  refuse: { create?: Errno; set?: Errno } = {}

  constructor(platform: object) {
    this.platform = platform
  }
  tableBytes(shape: WindowShape): bigint {
    return tableBytes(shape)
  }
  create(slot: number, shape: WindowShape): ListWindow {
    this.#may('create')
    return new ListWindow(slot === 0 ? 0n : 1n << 59n, shape)
  }
  set(slot: number, window: DmaWindow): void {
    this.asked.push(`set ${slot}`)
    this.#may('set')
    window.hold()
    this.present[slot] = window
  }
  unset(slot: number): void {
    this.asked.push(`unset ${slot}`)
    this.present[slot]?.put()
    this.present[slot] = undefined
  }
  #may(what: 'create' | 'set'): void {
    const errno = this.refuse[what]
    delete this.refuse[what]
    if (errno) throw new UapiError(errno, what)
  }
}

/** A group with windows of its own. */
export interface ListMember extends ContainerMember {
  readonly windows: ListWindows
}

/** A program, and a container that it opened. */
export interface ContainerWorld {
  readonly host: Host
  readonly vmm: Client
  readonly backend: SpaprBackend
  readonly session: SpaprSession
  readonly fd: number
  /** The group that joined first. */
  readonly group: ListMember
  readonly platform: object
  another(platform?: object): ListMember
  /** A call's answer: what it returns, or the errno. */
  readonly answer: <T>(call: IoctlCall<T>, values?: Partial<T>) => number | Errno
  map(values?: object): number | Errno
  unmap(values?: object): number | Errno
  window(slot?: number): ListWindow
  locked(): number
}

/** How a world differs from version 2 with one group. */
export interface WorldOptions {
  readonly v2?: boolean
  readonly recovery?: ErrorRecovery
  readonly pageSize?: number
}

let groups = 0
/** A group of a platform. @param recovery of its only device */
export function member(platform: object, recovery?: ErrorRecovery): ListMember {
  const windows = new ListWindows(platform)
  return { id: groups++, windows, iommu: { devices: [{ windows, recovery }] } as unknown as Group }
}

/** Whatever address the program has mapped for buffers: 1 MiB. */
export const BUFFER = 0x100_0000_0000n

/** A container that chose SPAPR and has one group. */
export function containerWorld({ v2 = true, recovery, pageSize = 4096 }: WorldOptions = {}): ContainerWorld {
  const host = createHost({ kernel: { pageSize } })
  const vmm = new Client(host, host.get(Processes).spawn())
  const backend = new SpaprBackend({ eeh: recovery !== undefined, pageSize })
  const session = backend.open(vmm.caller, v2 ? 7 : 2)
  const platform = {}
  const group = member(platform, recovery)
  session.attach(group)
  const fd = vmm.adopt({
    ioctl: (caller, number, arg) => session.ioctl(caller, number, arg),
    release: () => undefined,
  })
  vmm.mmap({ uva: BUFFER, bytes: 0x10_0000 })
  const answer = <T>(call: IoctlCall<T>, values?: Partial<T>): number | Errno => {
    try {
      return call.struct ? vmm.ioctlRet(fd, call, values) : vmm.ioctl(fd, call.number)
    } catch (error) {
      if (error instanceof UapiError) return error.errno
      throw error
    }
  }
  return {
    host,
    vmm,
    backend,
    session,
    fd,
    group,
    platform,
    another: (of = platform) => member(of),
    answer,
    map: (values) =>
      answer(VFIO_IOMMU_MAP_DMA, { flags: 3, vaddr: BUFFER, iova: 0n, size: BigInt(pageSize), ...values }),
    unmap: (values) => answer(VFIO_IOMMU_UNMAP_DMA, { iova: 0n, size: BigInt(pageSize), ...values }),
    window: (slot = 0) => group.windows.present[slot] as ListWindow,
    locked: () => vmm.process.addressSpace.locked.pages,
  }
}
