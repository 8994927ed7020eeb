/** Parts of a BAR as a dma-buf, for peers and for iommufd. drivers/vfio/pci/vfio_pci_dmabuf.c. */
import {
  type Caller,
  type DmaBuf,
  type Hpa,
  installFile,
  readUser,
  UapiError,
  type VfioFeature,
  type VfioPayload,
} from '@ioasis/core'
import { VFIO_PCI_REGION, vfioFeatureDmaBuf as DmaBufRequest, vfioRegionDmaRange as DmaRange } from '@ioasis/uapi'
import type { Resource } from './config/owner.ts'
import { assigned } from './resources.ts'
import { Revocation } from './revocation.ts'

const O_CLOEXEC = 0o2000000
/** What the kernel allocates at most at a time (KMALLOC_MAX_SIZE). */
const MOST_BYTES = 0x40_0000

/** What dma-bufs need of the opened device. */
export interface DmaBufParts {
  readonly resources: readonly Resource[]
  readonly pageBytes: number
  memoryEnabled(): boolean
}

/** The dma-bufs of one opened device. */
export class DmaBufs {
  readonly #parts: DmaBufParts
  readonly #open = new Set<BarDmaBuf>()

  constructor(parts: DmaBufParts) {
    this.#parts = parts
  }

  /** VFIO_DEVICE_FEATURE_DMA_BUF. */
  get feature(): VfioFeature {
    return { minimum: DmaBufRequest.size, get: (caller, payload) => this.#export(caller, payload) }
  }
  /** Takes all away, or gives them back. */
  revoke(revoked: boolean): void {
    for (const file of this.#open) file.revoke(revoked)
  }
  /** The device is closed: they stay open and stand for nothing. */
  close(): void {
    this.revoke(true)
    this.#open.clear()
  }

  #export(caller: Caller, { uva }: VfioPayload): number {
    const what = 'VFIO_DEVICE_FEATURE_DMA_BUF'
    const request = DmaBufRequest.decode(readUser(caller, uva, DmaBufRequest.size, what))
    const { nr_ranges: count, region_index: index } = request
    if (count === 0 || request.flags !== 0) throw new UapiError('EINVAL', what, { count, flags: request.flags })
    const bar = index < VFIO_PCI_REGION.ROM ? assigned(this.#parts.resources, index) : undefined
    if (!bar) throw new UapiError('ENODEV', what, { index })
    if (count * DmaRange.size > MOST_BYTES) throw new UapiError('ENOMEM', what, { count })
    const rows = readUser(caller, uva + BigInt(DmaBufRequest.size), count * DmaRange.size, what)
    const ranges = Array.from({ length: count }, (_, i) => DmaRange.decode(rows.subarray(i * DmaRange.size)))
    for (const range of ranges) this.#checkPages(range)
    const bytes = ranges.reduce((sum, { length }) => sum + length, 0n)
    if (bytes >= 1n << 63n) throw new UapiError('EINVAL', 'validate_dmabuf_input', { bytes })
    if (bar.space !== 'memory') throw new UapiError('EINVAL', what, { index })
    const file = new BarDmaBuf(
      ranges.map((range) => physical(bar, range)),
      !this.#parts.memoryEnabled(),
      () => this.#open.delete(file),
    )
    this.#open.add(file)
    return installFile(caller, file, { cloexec: (request.open_flags & O_CLOEXEC) !== 0, name: 'dmabuf' })
  }
  #checkPages({ offset, length }: { readonly offset: bigint; readonly length: bigint }): void {
    const page = BigInt(this.#parts.pageBytes)
    if (length === 0n || offset % page !== 0n || length % page !== 0n)
      throw new UapiError('EINVAL', 'validate_dmabuf_input', { offset, length })
  }
}

/** vfio_pci_core_fill_phys_vec(). @throws UapiError EINVAL beyond the BAR, EOVERFLOW */
function physical(
  bar: Resource,
  range: { readonly offset: bigint; readonly length: bigint },
): { readonly hpa: Hpa; readonly bytes: number } {
  const first = BigInt(bar.start) + range.offset
  const end = first + range.length
  if (end >= 1n << 64n) throw new UapiError('EOVERFLOW', 'vfio_pci_core_fill_phys_vec', range)
  if (end > BigInt(bar.start) + BigInt(bar.size)) throw new UapiError('EINVAL', 'vfio_pci_core_fill_phys_vec', range)
  return { hpa: Number(first), bytes: Number(range.length) }
}

class BarDmaBuf implements DmaBuf {
  readonly dmaBuf: DmaBuf['dmaBuf']
  readonly #released: () => void
  readonly #revocation: Revocation

  constructor(
    ranges: readonly { readonly hpa: Hpa; readonly bytes: number }[],
    revoked: boolean,
    released: () => void,
  ) {
    const revocation = new Revocation(revoked)
    this.#revocation = revocation
    this.#released = released
    this.dmaBuf = {
      bytes: ranges.reduce((sum, range) => sum + BigInt(range.bytes), 0n),
      ranges,
      get revoked() {
        return revocation.revoked
      },
      onRevoke: (listener) => revocation.listen(listener),
    }
  }
  revoke(revoked: boolean): void {
    this.#revocation.set(revoked)
  }
  /** A dma-buf has mmap(2), its exporter does not (drivers/dma-buf/dma-buf.c dma_buf_mmap_internal). */
  mmap(): never {
    throw new UapiError('EINVAL', 'dma_buf_mmap_internal')
  }
  release(): void {
    this.#released()
  }
}
