/** Where areas get their memory. drivers/iommu/iommufd/pages.c iopt_alloc_user_pages, iopt_alloc_file_pages, pfn_reader_user_pin. */
import {
  type DmaBuf,
  hiWord,
  loWord,
  MemoryFile,
  type OpenFile,
  type PageObject,
  type PageRunList,
  pinPages,
  split,
  UapiError,
} from '@ioasis/core'
import type { AccountMode, PagesOwner } from './accounting.ts'
import { Pages } from './pages.ts'
import { U64_MAX } from './uapi.ts'

/** What a mapping asks of its pages. */
export interface PagesOptions {
  readonly writable: boolean
  readonly account: AccountMode
}

/** @throws UapiError EINVAL for no bytes, or nearly all there are */
function checkBytes(bytes: bigint, pageBytes: number): void {
  // First against what is cheap to compare with.
  const isLarge = bytes > 0x7fff_ffff_ffff_ffffn
  if (bytes === 0n || (isLarge && bytes > U64_MAX - BigInt(pageBytes)))
    throw new UapiError('EINVAL', 'iommufd pages', { bytes })
}

/** Memory of a process at an address; looked up when it is pinned, not before. */
export class UserPages extends Pages {
  /** A multiple of the page size, so that a number holds any of 64 bits. */
  readonly #uva: number

  /** @throws UapiError EOVERFLOW when the range passes the end of all addresses, EINVAL for none or nearly all */
  constructor(owner: PagesOwner, uva: bigint, bytes: bigint, options: PagesOptions) {
    if (uva + bytes > U64_MAX) throw new UapiError('EOVERFLOW', 'iommufd pages', { uva, bytes })
    const { pageBytes } = owner.addressSpace
    checkBytes(bytes, pageBytes)
    super(owner, options)
    split(uva)
    this.#uva = (hiWord() >>> 0) * 0x1_0000_0000 + ((loWord() & -pageBytes) >>> 0)
  }

  override get kind(): 'user' {
    return 'user'
  }
  override get origin(): bigint {
    return BigInt(this.#uva)
  }
  protected override pin(index: number, count: number, into: PageRunList): number {
    const { addressSpace } = this.owner
    const uva = BigInt(this.#uva + index * addressSpace.pageBytes)
    return addressSpace.pin(uva, count, { write: this.writable }, into)
  }
  protected override forget(): void {}
}

/** Pages of a file; the file stays open for as long as somebody holds them. Only memfds have pages that can be pinned. */
export class FilePages extends Pages {
  readonly #file: OpenFile
  readonly #first: number

  /** @param file held by the caller, put when the pages go @throws UapiError EINVAL for no bytes, or nearly all */
  constructor(owner: PagesOwner, file: OpenFile, start: bigint, bytes: bigint, options: PagesOptions) {
    const { pageBytes } = owner.addressSpace
    const offset = start % BigInt(pageBytes)
    checkBytes(bytes, pageBytes)
    super(owner, options)
    this.#file = file
    this.#first = Number((start - offset) / BigInt(pageBytes))
  }

  override get kind(): 'file' {
    return 'file'
  }
  override get origin(): bigint {
    return BigInt(this.#first) * BigInt(this.owner.addressSpace.pageBytes)
  }
  /** mm/gup.c memfd_pin_folios: another kind of file, or a range beyond the end, is EINVAL. */
  protected override pin(index: number, count: number, into: PageRunList): number {
    const object = this.#object()
    const { frames, pageBytes } = this.owner.addressSpace
    const first = this.#first + index
    if (!object || (first + count) * pageBytes > object.bytes)
      throw new UapiError('EINVAL', 'memfd_pin_folios', { index })
    return pinPages(frames, object, first, count, into)
  }
  protected override forget(): void {
    this.#file.put()
  }

  #object(): (PageObject & { readonly bytes: number }) | undefined {
    const { ops } = this.#file
    return ops instanceof MemoryFile ? ops.object : undefined
  }
}

/**
 * A part of a device's memory, handed over as a dma-buf. It is not pinned: the exporter takes it back when it must, and then
 * it is out of every domain before that takes effect, for good.
 */
export class DmaBufPages extends Pages {
  readonly #file: OpenFile
  /** Into the range, a multiple of the page size. */
  readonly #start: number
  readonly #hpa: number
  readonly #stop: () => void
  readonly #tables = new Set<{ takeOut(pages: Pages): void }>()
  #revoked = false

  /**
   * @param file a dma-buf held by the caller, put when the pages go
   * @throws UapiError EINVAL beyond its end; ENODEV when it is revoked; EOPNOTSUPP for more than one range
   */
  constructor(owner: PagesOwner, file: OpenFile, start: bigint, bytes: bigint, options: PagesOptions) {
    const { dmaBuf } = file.ops as DmaBuf
    const { pageBytes } = owner.addressSpace
    if (dmaBuf.bytes <= start + bytes - 1n || bytes / BigInt(pageBytes) >= 0xffff_ffffn) {
      throw new UapiError('EINVAL', 'iopt_alloc_dmabuf_pages', { start, bytes })
    }
    const offset = start % BigInt(pageBytes)
    // Its memory is a device's: nothing is pinned, so nothing is charged.
    checkBytes(bytes, pageBytes)
    super(owner, { ...options, account: 'none' })
    const [range, second] = dmaBuf.ranges
    if (dmaBuf.revoked) throw new UapiError('ENODEV', 'vfio_pci_dma_buf_iommufd_map')
    if (!range || second) throw new UapiError('EOPNOTSUPP', 'vfio_pci_dma_buf_iommufd_map')
    this.#file = file
    this.#start = Number(start - offset)
    this.#hpa = range.hpa
    this.#stop = dmaBuf.onRevoke((revoked) => revoked && this.#revoke())
  }

  override get kind(): 'dma-buf' {
    return 'dma-buf'
  }
  override get origin(): bigint {
    return BigInt(this.#start)
  }
  override mappedIn(table: { takeOut(pages: Pages): void }): void {
    this.#tables.add(table)
  }
  override cover(): void {}
  override uncover(): void {}
  override collect(page: number, offset: number, bytes: number, into: PageRunList): void {
    if (this.#revoked) return
    into.append(this.#hpa + this.#start + page * this.owner.addressSpace.pageBytes + offset, bytes)
  }
  protected override pin(): number {
    throw new Error('iommufd: a dma-buf is not pinned')
  }
  protected override forget(): void {
    this.#stop()
    this.#file.put()
  }

  #revoke(): void {
    if (this.#revoked) return
    for (const table of this.#tables) table.takeOut(this)
    this.#revoked = true
  }
}
