/**
 * Entries of a container's windows: made from user memory and cleared again. Version 1 pins each page as it is mapped;
 * version 2 maps what was registered. drivers/vfio/vfio_iommu_spapr_tce.c tce_iommu_build, tce_iommu_build_v2, tce_iommu_clear.
 */
import {
  type AddressSpace,
  type DmaWindow,
  type Hpa,
  PageRunList,
  RegisteredMemory,
  TCE_ACCESS,
  type TceAccess,
  TceSink,
  UapiError,
} from '@ioasis/core'

/** Pages to be mapped. */
export interface EntriesWanted {
  /** First entry of the window. */
  readonly index: number
  readonly count: number
  /** A multiple of the window's page. */
  readonly uva: bigint
  readonly access: TceAccess
}

/** Makes and clears entries of one window for one address space. */
export interface Entries {
  /** @throws UapiError; entries before the refused one are cleared then, it and those behind it are as before */
  build(wanted: EntriesWanted): void
  /** Clears entries; empty ones are passed over. */
  clear(index: number, count: number): void
  /** Version 1: the host page that each entry pinned. */
  readonly pinned?: ReadonlyMap<number, Hpa>
}

/** @param v2 whether memory is registered beforehand */
export const makeEntries = (window: DmaWindow, space: AddressSpace, v2: boolean): Entries =>
  v2 ? new RegisteredEntries(window, space) : new PinnedEntries(window, space)

/** Clears what stands in entries, as tce_iommu_clear: one that cannot be cleared is left. */
function clearEntries(
  window: DmaWindow,
  index: number,
  count: number,
  cleared: (index: number, hpa: Hpa) => void,
): void {
  const end = index + count
  for (let i = window.nextMade(index); i < end; i = window.nextMade(i + 1)) {
    let old: TceAccess = TCE_ACCESS.NONE
    try {
      old = window.exchange(i, 0, TCE_ACCESS.NONE)
    } catch (error) {
      if (!(error instanceof UapiError)) throw error
    }
    if (old !== TCE_ACCESS.NONE) cleared(i, window.oldHpa)
  }
  window.kill(index, count)
}

/** A TCE maps no more than the page (or huge page) behind it. @throws UapiError EPERM (tce_page_is_contained) */
function mustContain(space: AddressSpace, hpa: Hpa, { pageShift }: DmaWindow): void {
  if (space.frames.blockBytes(hpa) < 2 ** pageShift)
    throw new UapiError('EPERM', 'VFIO_IOMMU_MAP_DMA', { hpa, pageShift })
}

class PinnedEntries implements Entries {
  /** The host page each entry was pinned for: what the table must say, kept for the audit. */
  readonly pinned: Map<number, Hpa> = new Map()
  readonly #window: DmaWindow
  readonly #space: AddressSpace
  readonly #one = new PageRunList(1)

  constructor(window: DmaWindow, space: AddressSpace) {
    this.#window = window
    this.#space = space
  }
  build({ index, count, uva, access }: EntriesWanted): void {
    const bytes = 1n << BigInt(this.#window.pageShift)
    for (let i = 0; i < count; i++) {
      try {
        this.#put(index + i, uva + BigInt(i) * bytes, access)
      } catch (error) {
        this.clear(index, i)
        throw error
      }
    }
    this.#window.kill(index, count)
  }
  clear(index: number, count: number): void {
    clearEntries(this.#window, index, count, (i, hpa) => {
      this.#unpin(hpa)
      this.pinned.delete(i)
    })
  }
  /** Always pinned for writing: Linux takes the direction from the low bits of an aligned address. */
  #put(index: number, uva: bigint, access: TceAccess): void {
    this.#one.clear()
    this.#space.pin(uva, 1, { write: true }, this.#one)
    const page = this.#one.hpa[0] as number
    // A window's page may be smaller than one of the CPU.
    const hpa = page + Number(uva & BigInt(this.#space.frames.pageMask))
    let old: TceAccess
    try {
      mustContain(this.#space, page, this.#window)
      old = this.#window.exchange(index, hpa, access)
    } catch (error) {
      this.#unpin(page)
      throw error
    }
    if (old !== TCE_ACCESS.NONE) this.#unpin(this.#window.oldHpa)
    this.pinned.set(index, page)
  }
  #unpin(hpa: Hpa): void {
    const { frames } = this.#space
    frames.unpin(hpa - (hpa % frames.pageBytes), frames.pageBytes)
  }
}

class RegisteredEntries implements Entries {
  readonly #window: DmaWindow
  readonly #space: AddressSpace
  readonly #memory: RegisteredMemory
  readonly #sink: TceSink

  constructor(window: DmaWindow, space: AddressSpace) {
    this.#window = window
    this.#space = space
    this.#memory = RegisteredMemory.of(space)
    this.#sink = new TceSink(window, this.#memory)
  }
  build({ index, count, uva, access }: EntriesWanted): void {
    const bytes = 2 ** this.#window.pageShift
    for (let i = 0; i < count; i++) {
      try {
        this.#put(index + i, Number(uva) + i * bytes, access)
      } catch (error) {
        this.clear(index, i)
        throw error
      }
    }
    this.#window.kill(index, count)
  }
  clear(index: number, count: number): void {
    clearEntries(this.#window, index, count, (i) => this.#sink.letGo(i))
  }
  #put(index: number, uva: number, access: TceAccess): void {
    const { pageShift } = this.#window
    const region = this.#memory.lookup(uva, 2 ** pageShift)
    const hpa = region && this.#memory.target(region, uva, pageShift)
    if (!region || hpa === undefined) throw new UapiError('EINVAL', 'VFIO_IOMMU_MAP_DMA', { uva, pageShift })
    mustContain(this.#space, hpa - (hpa % this.#space.pageBytes), this.#window)
    this.#memory.addMapping(region)
    let old: TceAccess
    try {
      old = this.#window.exchange(index, hpa, access)
    } catch (error) {
      // As Linux has it: what the entry was made for before is let go, not what was just counted.
      this.#sink.letGo(index)
      throw error
    }
    if (old !== TCE_ACCESS.NONE) this.#sink.letGo(index)
    this.#window.setUserAddress(index, uva)
  }
}
