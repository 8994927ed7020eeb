/**
 * One VFIO_IOMMU_MAP_DMA: user memory that stays pinned and charged for as long as it is mapped; BARs of other devices are
 * mapped as they lie. drivers/vfio/vfio_iommu_type1.c vfio_pin_pages_remote, vaddr_get_pfns, vfio_unpin_pages_remote.
 */
import {
  type AddressSpace,
  type Caller,
  type FlushGather,
  flushGather,
  type Frames,
  PageRunList,
  type PageRuns,
  type PagingDomain,
  type Prot,
  UapiError,
  unpinPages,
} from '@ioasis/core'

/** Where and what. */
export interface MappingRange {
  readonly iova: bigint
  /** Bytes, a multiple of the page. */
  readonly size: bigint
  readonly vaddr: bigint
}

/** A piece of the mapping: pages that are pinned, or registers. */
interface Piece {
  readonly runs: PageRuns
  readonly mmio: boolean
}

/** A mapping of a container. */
export class Mapping {
  readonly iova: bigint
  readonly size: bigint
  vaddr: bigint
  /** The user said that `vaddr` is about to change (VFIO_DMA_UNMAP_FLAG_VADDR). */
  vaddrInvalid = false
  readonly #prot: Prot
  /** The memory it was made from, kept as Linux keeps the mm. */
  #space: AddressSpace
  #pieces: readonly Piece[] | undefined
  #charged = 0

  constructor({ iova, size, vaddr }: MappingRange, prot: Prot, caller: Caller) {
    this.iova = iova
    this.size = size
    this.vaddr = vaddr
    this.#prot = prot
    this.#space = caller.process.addressSpace
  }

  get last(): bigint {
    return this.iova + this.size - 1n
  }
  /** Pages pinned and charged. */
  get charged(): number {
    return this.#charged
  }

  /** Pins the memory. @throws UapiError EFAULT, ENOMEM; nothing is pinned then */
  pin(caller: Caller): void {
    const { frames, pageBytes } = this.#space
    const pieces: { runs: PageRunList; mmio: boolean }[] = []
    try {
      for (let done = 0n; done < this.size;) {
        const pages = Number((this.size - done) / BigInt(pageBytes))
        const piece = this.#nextPiece(this.vaddr + done, pages)
        pieces.push(piece)
        if (!piece.mmio) this.#charge(caller, piece.runs.total / pageBytes)
        done += BigInt(piece.runs.total)
      }
    } catch (error) {
      this.#giveBack(frames, pieces)
      throw error
    }
    this.#pieces = pieces
  }
  /** Maps what is pinned. @throws UapiError ENOMEM; the domain is as it was then */
  mapTo(domain: PagingDomain): void {
    let iova = this.iova
    try {
      for (const { runs, mmio } of this.#pieces ?? []) {
        domain.map(iova, runs, mmio ? { ...this.#prot, mmio } : this.#prot)
        iova += totalOf(runs)
      }
    } catch (error) {
      if (iova > this.iova) flush(domain, this.iova, iova - this.iova)
      throw error
    }
  }
  unmapFrom(domain: PagingDomain): void {
    if (this.#pieces) flush(domain, this.iova, this.size)
  }
  /** Lets the memory go; afterwards it may be pinned again. */
  unpin(): void {
    this.#giveBack(this.#space.frames, this.#pieces ?? [])
    this.#pieces = undefined
  }
  get pinned(): boolean {
    return this.#pieces !== undefined
  }
  /**
   * The memory lies elsewhere now, perhaps in another process (VFIO_DMA_MAP_FLAG_VADDR): what is charged moves along.
   * @throws UapiError ENOMEM beyond the new owner's limit
   */
  moveTo(caller: Caller, vaddr: bigint): void {
    const { process } = caller
    if (process.addressSpace !== this.#space) {
      process.addressSpace.locked.charge(this.#charged, process.lockLimit, 'vfio_change_dma_owner')
      this.#space.locked.uncharge(this.#charged)
      this.#space = process.addressSpace
    }
    this.vaddr = vaddr
    this.vaddrInvalid = false
  }
  /** For the audit: what it keeps. */
  get kept(): readonly { readonly source: 'pin' | 'bar'; readonly hpa: number; readonly bytes: bigint }[] {
    return (this.#pieces ?? []).flatMap(({ runs, mmio }) =>
      Array.from({ length: runs.count }, (_, i) => ({
        source: mmio ? 'bar' : 'pin',
        hpa: runs.hpa[i] as number,
        bytes: BigInt(runs.bytes[i] as number),
      })),
    )
  }

  #nextPiece(uva: bigint, pages: number): { runs: PageRunList; mmio: boolean } {
    const at = this.#space.at(uva)
    if (at?.target.kind === 'window') return { runs: this.#registers(uva, pages), mmio: true }
    const runs = new PageRunList()
    this.#space.pin(uva, pages, { write: this.#prot.write }, runs)
    return { runs, mmio: false }
  }
  /** A mapped BAR (VM_PFNMAP): its place, as long as its owner has not taken it away. */
  #registers(uva: bigint, pages: number): PageRunList {
    const found = this.#space.at(uva)
    const target = found?.target
    const may = found && (this.#prot.write ? found.vma.write : found.vma.read)
    const hpa = target?.kind === 'window' ? target.window.hpa : undefined
    if (!found || !may || hpa === undefined || target?.kind !== 'window')
      throw new UapiError('EFAULT', 'follow_fault_pfn', { uva })
    const bytes = Math.min(pages * this.#space.pageBytes, found.vma.end - Number(uva))
    const runs = new PageRunList(1)
    runs.append(hpa + target.offset, bytes)
    return runs
  }

  #charge({ process }: Caller, pages: number): void {
    this.#space.locked.charge(pages, process.lockLimit, 'vfio_lock_acct')
    this.#charged += pages
  }
  #giveBack(frames: Frames, pieces: readonly Piece[]): void {
    for (const { runs, mmio } of pieces) if (!mmio) unpinPages(frames, runs)
    this.#space.locked.uncharge(this.#charged)
    this.#charged = 0
  }
}

function totalOf(runs: PageRuns): bigint {
  let bytes = 0
  for (let i = 0; i < runs.count; i++) bytes += runs.bytes[i] as number
  return BigInt(bytes)
}

function flush(domain: PagingDomain, iova: bigint, bytes: bigint): void {
  const gather: FlushGather = flushGather()
  domain.unmap(iova, bytes, gather)
  domain.sync(gather)
}
