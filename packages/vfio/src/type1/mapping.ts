/**
 * One VFIO_IOMMU_MAP_DMA: user memory that stays pinned and charged for as long as it is mapped; BARs of other devices are
 * mapped as they lie. drivers/vfio/vfio_iommu_type1.c vfio_pin_pages_remote, vaddr_get_pfns, vfio_unpin_pages_remote.
 */
import {
  type AddressSpace,
  type Caller,
  type FlushGather,
  flushGather,
  type PageRunList,
  type PageRuns,
  type PagingDomain,
  type Prot,
  UapiError,
  unpinPages,
} from '@ioasis/core'
import type { DirtyBits } from './dirty-bits.ts'
import { MappingOwner } from './owner.ts'
import { PagePins } from './page-pins.ts'

/** Where and what. */
export interface MappingRange {
  readonly iova: bigint
  /** Bytes, a multiple of the page. */
  readonly size: bigint
  readonly vaddr: bigint
}

/** A piece of the mapping: pages that are pinned, or registers. There may be millions, nearly all of one run. */
interface Piece {
  readonly bytes: number
  /** Host memory of the first page; of all of it, where it lies together. */
  readonly hpa: number
  /** Where it does not. */
  readonly runs: PageRuns | undefined
  readonly mmio: boolean
}
const pieceOf = (runs: PageRunList, mmio: boolean): Piece => ({
  bytes: runs.total,
  hpa: runs.hpa[0] as number,
  runs: runs.count === 1 ? undefined : runs.copy(),
  mmio,
})

/** A mapping of a container. */
export class Mapping {
  readonly iova: bigint
  readonly size: bigint
  readonly prot: Prot
  vaddr: bigint
  /** The user said that `vaddr` is about to change (VFIO_DMA_UNMAP_FLAG_VADDR). */
  vaddrInvalid = false
  /** What was written, while that is tracked. */
  dirty: DirtyBits | undefined
  #pagePins: PagePins | undefined
  #owner: MappingOwner
  #pieces: readonly Piece[] | undefined
  #charged = 0

  /** @param owner whose memory it is */
  constructor({ iova, size, vaddr }: MappingRange, prot: Prot, owner: MappingOwner) {
    this.iova = iova
    this.size = size
    this.vaddr = vaddr
    this.prot = prot
    this.#owner = owner
  }
  get last(): bigint {
    return this.iova + this.size - 1n
  }
  /** Pages that emulated devices hold. */
  get pagePins(): PagePins {
    return (this.#pagePins ??= new PagePins())
  }
  /** How many. */
  get heldPages(): number {
    return this.#pagePins?.count ?? 0
  }
  /** Pages pinned and charged. */
  get charged(): number {
    return this.#charged
  }
  /** The memory it was made from. */
  get space(): AddressSpace {
    return this.#owner.space
  }

  /**
   * Pins all of it for domains. The pages are the caller's at `vaddr`, who need not be the one who mapped it: a group may join
   * later, from another process. They are charged to the owner; those that emulated devices hold are charged already.
   * @throws UapiError EFAULT, ENOMEM; nothing is pinned then
   */
  pin(caller: Caller): void {
    const { addressSpace } = caller.process
    const { pageBytes } = addressSpace
    const pieces: Piece[] = []
    const before = this.#charged
    try {
      for (let done = 0; done < Number(this.size);) {
        const pages = (Number(this.size) - done) / pageBytes
        const piece = this.#nextPiece(addressSpace, this.vaddr + BigInt(done), pages)
        pieces.push(piece)
        if (!piece.mmio) this.#chargeNew(caller, done / pageBytes, piece.bytes / pageBytes)
        done += piece.bytes
      }
    } catch (error) {
      for (const piece of pieces) letGo(piece, addressSpace)
      this.#chargeTo(before)
      throw error
    }
    this.#pieces = pieces
  }
  /** Maps what is pinned. @param pageByPage with the smallest pages alone @throws UapiError ENOMEM; the domain is as it was then */
  mapTo(domain: PagingDomain, pageByPage: boolean = false): void {
    let iova = this.iova
    try {
      for (const piece of this.#pieces ?? []) {
        const prot = piece.mmio ? { ...this.prot, mmio: true } : this.prot
        const runs = this.#runsOf(piece)
        for (const part of pageByPage ? pagesOf(runs, this.space.pageBytes) : [runs]) {
          domain.map(iova, part, prot)
          iova += totalOf(part)
        }
      }
    } catch (error) {
      if (iova > this.iova) flush(domain, this.iova, iova - this.iova)
      throw error
    }
  }
  unmapFrom(domain: PagingDomain): void {
    if (this.#pieces) flush(domain, this.iova, this.size)
  }
  /** Lets go of what was pinned for domains; pages that emulated devices hold stay charged. Afterwards it may be pinned again. */
  unpin(): void {
    for (const piece of this.#pieces ?? []) letGo(piece, this.space)
    this.#pieces = undefined
    this.#chargeTo(this.heldPages)
  }
  /** It is mapped in the container's domains. */
  get pinned(): boolean {
    return this.#pieces !== undefined
  }

  /**
   * Holds one page for an emulated device.
   * @param charge no domain holds and charges it already
   * @returns its hpa
   * @throws UapiError ENODEV, EINVAL, EFAULT, ENOMEM
   */
  pinPage(page: number, charge: boolean): number {
    const { space, limit } = this.#owner
    const known = this.pagePins.again(page)
    if (known !== undefined) return known
    const hpa = this.pagePins.pin(page, space, this.vaddr + BigInt(page * space.pageBytes), this.prot.write)
    try {
      if (charge) this.#charge(1, limit)
    } catch (error) {
      this.pagePins.unpin(page, space)
      throw error
    }
    return hpa
  }
  /** @param charged as `pinPage` */
  unpinPage(page: number, charged: boolean): void {
    if (this.pagePins.unpin(page, this.space) && charged) this.#chargeTo(this.#charged - 1)
  }

  /**
   * The memory lies elsewhere now, perhaps in another process (VFIO_DMA_MAP_FLAG_VADDR): what is charged moves along.
   * @throws UapiError ENOMEM beyond the new owner's limit
   */
  moveTo(caller: Caller, vaddr: bigint): void {
    if (caller.process.addressSpace !== this.space) {
      const next = new MappingOwner(caller)
      next.space.locked.charge(this.#charged, next.limit, 'vfio_change_dma_owner')
      this.space.locked.uncharge(this.#charged)
      this.#owner = next
    }
    this.vaddr = vaddr
    this.vaddrInvalid = false
  }
  /** For the audit: what it keeps for domains. */
  get kept(): readonly { readonly source: 'pin' | 'bar'; readonly hpa: number; readonly bytes: bigint }[] {
    return (this.#pieces ?? []).flatMap((piece) => {
      const { count, hpa, bytes } = this.#runsOf(piece)
      return Array.from({ length: count }, (_, i) => ({
        source: piece.mmio ? 'bar' : 'pin',
        hpa: hpa[i] as number,
        bytes: BigInt(bytes[i] as number),
      }))
    })
  }

  #nextPiece(space: AddressSpace, uva: bigint, pages: number): Piece {
    const at = space.at(uva)
    if (at?.target.kind === 'window') return this.#registers(space, uva, pages)
    const { scratch } = this.#owner
    scratch.clear()
    space.pin(uva, pages, { write: this.prot.write }, scratch)
    return pieceOf(scratch, false)
  }
  /** Lent until the next piece is asked for. */
  #runsOf({ runs, hpa, bytes }: Piece): PageRuns {
    if (runs) return runs
    const { scratch } = this.#owner
    scratch.clear()
    scratch.append(hpa, bytes)
    return scratch
  }
  /** A mapped BAR (VM_PFNMAP): its place, as long as its owner has not taken it away. */
  #registers(space: AddressSpace, uva: bigint, pages: number): Piece {
    const found = space.at(uva)
    const target = found?.target
    const may = found && (this.prot.write ? found.vma.write : found.vma.read)
    const hpa = target?.kind === 'window' ? target.window.hpa : undefined
    if (!found || !may || hpa === undefined || target?.kind !== 'window')
      throw new UapiError('EFAULT', 'follow_fault_pfn', { uva })
    const bytes = Math.min(pages * space.pageBytes, found.vma.end - Number(uva))
    return { bytes, hpa: hpa + target.offset, runs: undefined, mmio: true }
  }

  /** Twice limited: by the locked memory of who pins, and by the owner's, who is charged. vfio_pin_pages_remote, vfio_lock_acct */
  #chargeNew({ process }: Caller, first: number, count: number): void {
    const held = this.#pagePins?.pages.filter((p) => p >= first && p < first + count).length ?? 0
    const pages = count - held
    if (pages === 0) return
    const { pages: locked } = process.addressSpace.locked
    const limit = this.#owner.limitOf(process)
    if (locked + pages > limit) throw new UapiError('ENOMEM', 'vfio_pin_pages_remote', { pages, locked, limit })
    this.#charge(pages, this.#owner.limit)
  }
  #charge(pages: number, limit: number): void {
    this.space.locked.charge(pages, limit, 'vfio_lock_acct')
    this.#charged += pages
  }
  #chargeTo(pages: number): void {
    this.space.locked.uncharge(this.#charged - pages)
    this.#charged = pages
  }
}

function letGo({ hpa, bytes, runs, mmio }: Piece, { frames }: AddressSpace): void {
  if (runs) unpinPages(frames, runs)
  else if (!mmio) frames.unpin(hpa, bytes)
}

function* pagesOf(runs: PageRuns, pageBytes: number): Generator<PageRuns, void, undefined> {
  const one = { count: 1, hpa: new Float64Array(1), bytes: Float64Array.of(pageBytes) }
  for (let i = 0; i < runs.count; i++) {
    for (let done = 0; done < (runs.bytes[i] as number); done += pageBytes) {
      one.hpa[0] = (runs.hpa[i] as number) + done
      yield one
    }
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
