/**
 * The device table of one PCI segment, which all its units share. Entries are written in halves of 128 bits, in an order in
 * which a unit that reads one in between sees the old or the new entry. drivers/iommu/amd/iommu.c update_dte256,
 * write_dte_upper128; init.c alloc_pci_segment, init_device_table, init_device_table_dma.
 */
import { type Bdf, type Cpu, type Hpa, hpaHi, hpaLo, type PageAllocator } from '@ioasis/core'
import { DTE0, DTE2, dteOffset, INT_CTL } from '../spec/device-table.ts'
import { type Dte, emptyDte, getDte, setDte } from './device-table-entry.ts'

const PAGE = 4096
const ENTRY_BYTES = 32
/** Of the third word, what belongs to the translation of DMA; the rest is the interrupt table's (DTE_DATA2_INTR_MASK). */
const DMA_IN_WORD_5 = 0x00f0_0000

/** Asks the unit to forget the entry, and waits. */
export type FlushEntry = (requester: Bdf) => void

/** The table of one segment. */
export class DeviceTable {
  readonly hpa: Hpa
  readonly bytes: number
  readonly lastBdf: Bdf
  readonly #cpu: Cpu
  readonly #pages: PageAllocator
  readonly #half = new Uint8Array(16)
  readonly #halfWords = new Int32Array(this.#half.buffer)

  /**
   * Every entry is valid and translates nothing; with `interrupts` it also says that there is an interrupt table, of which none
   * is given, so that interrupts are refused.
   * @param initial what firmware asks for in the entry of a requester
   * @throws UapiError ENOMEM
   */
  constructor(
    lastBdf: Bdf,
    host: { readonly cpu: Cpu; readonly pages: PageAllocator },
    how: { readonly interrupts: boolean; readonly initial: (requester: Bdf) => Dte | undefined },
  ) {
    this.#cpu = host.cpu
    this.#pages = host.pages
    this.lastBdf = lastBdf
    this.bytes = Math.max(PAGE, 2 ** Math.ceil(Math.log2((lastBdf + 1) * ENTRY_BYTES)))
    this.hpa = host.pages.alloc(this.bytes, 'device table')
    this.#fill(how)
  }

  /** The entry of a requester, as it stands in memory. */
  read(requester: Bdf): Dte {
    const bytes = new Uint8Array(ENTRY_BYTES)
    this.#cpu.read(this.#at(requester), bytes)
    return new Int32Array(bytes.buffer)
  }

  /**
   * Replaces what an entry says of DMA.
   * @param flush is called once after the change, and once in its midst where the change cannot be one store
   */
  write(requester: Bdf, dte: Dte, flush: FlushEntry): void {
    const old = this.read(requester)
    const now = Int32Array.from(dte)
    now[4] = old[4] as number
    now[5] = ((old[5] as number) & ~DMA_IN_WORD_5) | ((dte[5] as number) & DMA_IN_WORD_5)
    if (hasGuest(old) && hasGuest(now) && pagingMode(old) !== pagingMode(now)) {
      // Neither order will do: the entry is taken away in between.
      this.#store(requester, new Int32Array(8), 0)
      flush(requester)
      this.#store(requester, now, 1)
      this.#store(requester, now, 0)
    } else if (hasGuest(old)) {
      this.#store(requester, now, 0)
      this.#store(requester, now, 1)
    } else {
      this.#store(requester, now, 1)
      this.#store(requester, now, 0)
    }
    flush(requester)
  }

  /**
   * Gives a requester an interrupt table, or takes it away: its interrupts are then refused (set_dte_irq_entry).
   * @param table `length`: it has 2^length entries
   */
  setInterrupts(requester: Bdf, table: { readonly hpa: Hpa; readonly length: number } | undefined): void {
    const dte = this.read(requester)
    dte[4] = (dte[4] as number) & 0x3f
    dte[5] = (dte[5] as number) & ~0xf_ffff
    setDte(dte, 2, DTE2.IV, 1)
    setDte(dte, 2, DTE2.IntTabLen, table?.length ?? 0)
    setDte(dte, 2, DTE2.IntCtl, table ? INT_CTL.REMAP : INT_CTL.ABORT)
    if (table) {
      dte[4] |= hpaLo(table.hpa) & ~0x3f
      dte[5] |= hpaHi(table.hpa) & 0xf_ffff
    }
    this.#cpu.storeWords(this.#at(requester) + 16, dte[4], dte[5])
  }
  /** Writes the first word alone: dirty tracking comes and goes so. */
  writeFirst(requester: Bdf, dte: Dte): void {
    this.#cpu.storeWords(this.#at(requester), dte[0] as number, dte[1] as number)
  }

  /** Units must not use it any more. */
  free(): void {
    this.#pages.free(this.hpa, this.bytes)
  }

  #store(requester: Bdf, dte: Dte, half: 0 | 1): void {
    this.#halfWords.set(dte.subarray(4 * half, 4 * half + 4))
    this.#cpu.write(this.#at(requester) + 16 * half, this.#half)
  }
  #at(requester: Bdf): Hpa {
    if (requester > this.lastBdf) throw new Error(`device table: ${requester.toString(16)} is beyond its end`)
    return this.hpa + dteOffset(requester)
  }
  #fill({
    interrupts,
    initial,
  }: {
    readonly interrupts: boolean
    readonly initial: (r: Bdf) => Dte | undefined
  }): void {
    const plain = blockedDte(undefined, interrupts)
    const page = new Int32Array(PAGE / 4)
    for (let first = 0; first <= this.lastBdf; first += PAGE / ENTRY_BYTES) {
      for (let i = 0; i < PAGE / ENTRY_BYTES; i++) {
        const asked = initial(first + i)
        page.set(asked ? blockedDte(asked, interrupts) : plain, i * 8)
      }
      const count = Math.min(PAGE / ENTRY_BYTES, this.lastBdf + 1 - first)
      this.#cpu.write(this.hpa + dteOffset(first), new Uint8Array(page.buffer, 0, count * ENTRY_BYTES))
    }
  }
}

/** Valid, with guest tables. */
const hasGuest = (dte: Dte): boolean => getDte(dte, 0, DTE0.V) === 1 && getDte(dte, 0, DTE0.GV) === 1
const pagingMode = (dte: Dte): number => getDte(dte, 2, DTE2.GuestPagingMode)

/** The entry of a requester that nobody uses: page tables of no level and without permission. */
export function blockedDte(initial: Dte | undefined, interrupts: boolean): Dte {
  const dte = emptyDte(initial)
  setDte(dte, 0, DTE0.TV, 1)
  setDte(dte, 2, DTE2.IV, interrupts ? 1 : 0)
  return dte
}
