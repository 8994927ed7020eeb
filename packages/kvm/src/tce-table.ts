/**
 * TCE tables of a VM (POWER): what its guest believes to be the table of one window, by the number the guest knows it by, its
 * LIOBN. Hardware tables are linked to it, so that one hypercall updates all. arch/powerpc/kvm/book3s_64_vio.c.
 */
import {
  type AddressSpace,
  type Caller,
  type DmaWindow,
  type FileOps,
  type Frames,
  type Mapping,
  type MmapRequest,
  RegisteredMemory,
  SharedPages,
  TceSink,
  UapiError,
} from '@ioasis/core'
import type { CreateSpaprTce64 } from './tce-uapi.ts'

const U64 = (1n << 64n) - 1n
/** Bytes of struct kvmppc_spapr_tce_table in front of its array of pages. */
const HEAD_BYTES = 120n
/** KMALLOC_MAX_SIZE of powerpc64, with 4 and 64 KiB pages alike. */
const MOST_BYTES = 1n << 24n
const MIN_SHIFT = 12
const MAX_SHIFT = 34

/** A hardware table that follows, and how often it was linked. */
interface Link {
  readonly sink: TceSink
  references: number
}

/** One table; its descriptor keeps it and its VM. */
export class TceTable implements FileOps {
  readonly ioctlTables: readonly string[] = []
  readonly liobn: bigint
  /** log2 of the bytes of bus addresses one entry stands for. */
  readonly pageShift: number
  /** First page on the bus, and pages. */
  readonly offset: bigint
  readonly pages: bigint
  readonly #links: Link[] = []
  readonly #frames: Frames
  readonly #entries: SharedPages
  readonly #released: (table: TceTable) => void

  constructor(frames: Frames, args: CreateSpaprTce64, released: (table: TceTable) => void) {
    this.liobn = args.liobn
    this.pageShift = args.page_shift
    this.offset = args.offset
    this.pages = args.size
    this.#frames = frames
    this.#released = released
    const bytes = Number(tablePages(args.size, BigInt(frames.pageBytes))) * frames.pageBytes
    this.#entries = new SharedPages(frames, { name: 'kvm-spapr-tce', bytes })
  }
  /** Hardware tables that follow it. */
  get sinks(): readonly TceSink[] {
    return this.#links.map(({ sink }) => sink)
  }
  /** A hardware table that may follow: pages not larger, the same beginning, not smaller. */
  fits(window: DmaWindow): boolean {
    return (
      window.pageShift <= this.pageShift &&
      window.first === BigInt.asUintN(64, this.offset << BigInt(this.pageShift)) &&
      window.bytes >= BigInt.asUintN(64, this.pages << BigInt(this.pageShift))
    )
  }
  link(window: DmaWindow, memory: RegisteredMemory): void {
    const known = this.#links.find(({ sink }) => sink.window === window)
    if (known) {
      // The second link of a pair takes a reference to the table that Linux never gives back; it is not taken here.
      known.references++
      return
    }
    window.hold()
    this.#links.push({ sink: new TceSink(window, memory), references: 1 })
  }
  unlink(window: DmaWindow): void {
    const at = this.#links.findIndex(({ sink }) => sink.window === window)
    const link = this.#links[at]
    if (!link || --link.references > 0) return
    this.#links.splice(at, 1)
    window.put()
  }
  /** The guest's value of an entry, counted from 0. */
  value(index: number): bigint {
    const bytes = new Uint8Array(8)
    const at = index * 8
    const page = this.#entries.peek(Math.floor(at / this.#frames.pageBytes))
    if (page <= 0) return 0n
    this.#frames.cpu.read(page + (at % this.#frames.pageBytes), bytes)
    return new DataView(bytes.buffer).getBigUint64(0, true)
  }
  /** Zeros make no page. */
  put(index: number, value: bigint): void {
    const at = index * 8
    const page = Math.floor(at / this.#frames.pageBytes)
    if (value === 0n && this.#entries.peek(page) <= 0) return
    const bytes = new Uint8Array(8)
    new DataView(bytes.buffer).setBigUint64(0, value, true)
    this.#frames.cpu.write(this.#entries.fault(page) + (at % this.#frames.pageBytes), bytes)
  }
  mmap(_caller: Caller, { offset }: MmapRequest): Mapping {
    return { kind: 'pages', object: this.#entries, firstPage: Number(offset / BigInt(this.#frames.pageBytes)) }
  }
  release(): void {
    for (const { sink } of this.#links) sink.window.put()
    this.#links.length = 0
    this.#entries.release()
    this.#released(this)
  }
}

/** The tables of one VM. */
export class TceTables {
  readonly #frames: Frames
  readonly #space: AddressSpace
  readonly #vm: { get(): unknown; put(): void }
  readonly #tables: TceTable[] = []

  /** @param space of the process that made the VM @param vm kept by each table */
  constructor(frames: Frames, space: AddressSpace, vm: { get(): unknown; put(): void }) {
    this.#frames = frames
    this.#space = space
    this.#vm = vm
  }
  get all(): readonly TceTable[] {
    return this.#tables
  }
  find(liobn: bigint): TceTable | undefined {
    return this.#tables.find((table) => table.liobn === liobn)
  }
  /**
   * kvm_vm_ioctl_create_spapr_tce(). The caller gives the table a descriptor and calls `add`, or `abandon` when it cannot.
   * @throws UapiError EINVAL for flags, no pages, a page size or a range that cannot be; ENOMEM; EBUSY: the LIOBN is taken
   */
  create({ process }: Caller, args: CreateSpaprTce64): TceTable {
    const { flags, page_shift: shift, offset, size, liobn } = args
    const what = 'KVM_CREATE_SPAPR_TCE_64'
    if (flags !== 0) throw new UapiError('EINVAL', what, { flags })
    // The sum wraps, so that an offset of all ones is taken.
    if (size === 0n || shift < MIN_SHIFT || shift > MAX_SHIFT || ((offset + size) & U64) > U64 >> BigInt(shift))
      throw new UapiError('EINVAL', what, { shift, offset, size })
    const pages = this.#charge(size)
    this.#space.locked.charge(pages, process.lockLimit, what)
    try {
      const array = HEAD_BYTES + 8n * tablePages(size, BigInt(this.#frames.pageBytes))
      if (array > MOST_BYTES) throw new UapiError('ENOMEM', what, { size })
      if (this.find(liobn)) throw new UapiError('EBUSY', what, { liobn })
      return new TceTable(this.#frames, args, (table) => this.#released(table))
    } catch (error) {
      this.#space.locked.uncharge(pages)
      throw error
    }
  }
  add(table: TceTable): void {
    this.#vm.get()
    this.#tables.push(table)
  }
  /** No descriptor could be had. */
  abandon(table: TceTable): void {
    this.#space.locked.uncharge(this.#charge(table.pages))
  }
  /**
   * The hardware table of a group follows a table of this VM (kvm_spapr_tce_attach_iommu_group).
   * @param windows the group's, as they are now
   * @throws UapiError EINVAL for a file that is no table of this VM, or a group without a table that fits
   */
  link(file: FileOps, windows: readonly (DmaWindow | undefined)[]): void {
    const table = this.#tables.find((one) => one === file)
    const window = table && windows.find((one) => one !== undefined && table.fits(one))
    if (!table || !window) throw new UapiError('EINVAL', 'KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE')
    table.link(window, RegisteredMemory.of(this.#space))
  }
  /** A group is taken from the VM (kvm_spapr_tce_release_iommu_group): of its tables those that it has now. */
  unlink(windows: readonly (DmaWindow | undefined)[]): void {
    for (const table of this.#tables) for (const window of windows) if (window) table.unlink(window)
  }

  #released(table: TceTable): void {
    const at = this.#tables.indexOf(table)
    if (at < 0) return
    this.#tables.splice(at, 1)
    this.#space.locked.uncharge(this.#charge(table.pages))
    this.#vm.put()
  }
  /** Pages of the table, and of the array that leads to them. */
  #charge(size: bigint): number {
    const page = BigInt(this.#frames.pageBytes)
    const pages = tablePages(size, page)
    return Number(BigInt.asUintN(64, pages + (BigInt.asUintN(64, HEAD_BYTES + pages * 8n) + page - 1n) / page))
  }
}

/** kvmppc_tce_pages(): in 64 bits. */
const tablePages = (entries: bigint, page: bigint): bigint =>
  BigInt.asUintN(64, BigInt.asUintN(64, entries * 8n) + page - 1n) / page
