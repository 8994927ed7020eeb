/** A domain on paper: a map of pages that notices broken promises. */
import {
  type FlushGather,
  type Frames,
  type Hpa,
  type Iova,
  type IovaRange,
  type PageRuns,
  type PagingDomain,
  type PagingOptions,
  type Prot,
  type ReservedRegion,
  UapiError,
} from '@ioasis/core'

const PAGE = 4096

/** How the IOMMU of a test is. */
export interface PaperOptions {
  readonly aperture?: IovaRange
  readonly pageSizes?: bigint
  readonly enforcesCoherency?: boolean
  readonly isolatedMsi?: boolean
  readonly cacheCoherent?: boolean
  readonly pasidBits?: number
  /** The PASID Control Register of each function; absent: it has none. */
  readonly pasidControl?: number
  readonly ats?: boolean
  readonly reserved?: readonly ReservedRegion[]
  readonly hwInfo?: { readonly type: number; read(): Uint8Array }
  /** Names of functions that refuse every paging domain but their own. */
  readonly choosy?: readonly string[]
  readonly paging?: boolean
  /** It has nested domains, virtual IOMMUs and dirty tracking. */
  readonly advanced?: boolean
  /** Functions behind a second piece of hardware. */
  readonly elsewhere?: readonly string[]
}

/** Maps pages of 4 KiB. Unpinning before a flush, double maps and freeing while attached are errors. */
export class PaperDomain implements PagingDomain {
  readonly type = 'paging'
  readonly aperture: IovaRange
  readonly pageSizes: bigint
  readonly owner: string
  readonly pages = new Map<Iova, { readonly hpa: Hpa; readonly prot: Prot; readonly run: number }>()
  readonly coherency: { enforce(): boolean; readonly enforced: boolean }
  readonly dirty?: NonNullable<PagingDomain['dirty']>
  /** Pages written since they were read, while they are recorded. */
  readonly written = new Set<Iova>()
  recording = false
  users = 0
  freed = false
  flushes = 0
  /** Maps until one fails with ENOMEM. */
  failMapAfter: number | undefined
  #unflushed: Hpa[] = []
  readonly #frames: Frames

  constructor(frames: Frames, owner: string, options: PaperOptions, { dirtyTracking }: PagingOptions = {}) {
    if (dirtyTracking === true) this.dirty = this.#tracking()
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
  /** A device writes a page. */
  write(iova: Iova): void {
    if (this.recording) this.written.add(iova)
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
  #tracking(): NonNullable<PagingDomain['dirty']> {
    return {
      set: (on) => void (this.recording = on),
      read: ({ first, last }, sink, { clear }) => {
        for (const iova of [...this.written].toSorted((a, b) => (a < b ? -1 : 1))) {
          if (iova < first || iova > last) continue
          sink(iova, 4096n)
          if (clear) this.written.delete(iova)
        }
      },
    }
  }
}
