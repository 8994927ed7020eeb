/**
 * Root and context tables of one unit: which table translates each requester. Intel VT-d r4.1 "3.4.2 Legacy Mode Address
 * Translation", "9.1 Root Entry", "9.3 Context Entry"; drivers/iommu/intel/iommu.c iommu_context_addr.
 *
 * Context tables are made when a bus is first used and kept until the unit is taken down, as in Linux.
 */
import { type Bdf, bitsOf, busOf, get, type Hpa, hpaHi, hpaLo, hpaOf, put } from '@ioasis/core'
import { CONTEXT_ENTRY_BYTES, CONTEXT_HI, CONTEXT_LO } from '../spec/context-entry.ts'
import { ROOT, ROOT_ENTRY_BYTES } from '../spec/root-entry.ts'
import type { EntryWords, UnitMemory } from './unit-memory.ts'

/** What a present context entry says. */
export interface ContextEntry {
  /** Domain id that translations found through it are tagged with. */
  readonly domain: number
  /** Second-stage table; 0 where nothing is translated. */
  readonly table: Hpa
  /** AW. */
  readonly width: number
  /** One of `TT`. */
  readonly type: number
}

/** An entry that is not present. */
export const NO_ENTRY: EntryWords = [0, 0, 0, 0]

/** The 128 bits of a present entry; faults are recorded. */
export function contextEntry({ domain, table, width, type }: ContextEntry): EntryWords {
  const lo = hpaLo(table) | put(CONTEXT_LO.TT, bitsOf(CONTEXT_LO.P), type)
  return [lo, hpaHi(table), put(CONTEXT_HI.DID, put(CONTEXT_HI.AW, 0, width), domain), 0]
}
/** Bit P. */
export const isPresent = (entry: EntryWords): boolean => get(CONTEXT_LO.P, entry[0], entry[1]) === 1
/** Domain id. */
export const domainOf = (entry: EntryWords): number => get(CONTEXT_HI.DID, entry[2], entry[3])
/** The entry with P cleared: hardware ignores it, the rest stays readable while it is flushed. */
export const withoutPresent = ([a, b, c, d]: EntryWords): EntryWords => [a & ~bitsOf(CONTEXT_LO.P), b, c, d]

/** The tables of one unit. */
export class ContextTables {
  /** The root table. */
  readonly root: Hpa
  readonly #memory: UnitMemory
  readonly #unit: string
  /** Context table of each bus that has one. */
  readonly #tables = new Map<number, Hpa>()

  /** @throws UapiError ENOMEM */
  constructor(unit: string, memory: UnitMemory) {
    this.#unit = unit
    this.#memory = memory
    this.root = memory.table(`${unit} root table`)
  }

  /** Pages in use, the root table included. */
  get pages(): number {
    return 1 + this.#tables.size
  }
  /** Root entries that are present, read from memory: an audit counter. */
  get present(): number {
    let n = 0
    for (let bus = 0; bus < 256; bus++) {
      const words = this.#memory.load128(this.root + bus * ROOT_ENTRY_BYTES)
      n += get(ROOT.P, words[0], words[1])
    }
    return n
  }

  /** Makes the tables that entries of these requesters need. @throws UapiError ENOMEM, with none made */
  prepare(requesters: readonly Bdf[]): void {
    const buses = [...new Set(requesters.map(busOf))].filter((bus) => !this.#tables.has(bus))
    const made: Hpa[] = []
    try {
      for (const bus of buses) made.push(this.#memory.table(`${this.#unit} context table of bus ${bus}`))
    } catch (error) {
      for (const hpa of made) this.#memory.pages.free(hpa, 4096)
      throw error
    }
    buses.forEach((bus, i) => {
      const table = made[i] as Hpa
      this.#tables.set(bus, table)
      this.#memory.store64(this.root + bus * ROOT_ENTRY_BYTES, hpaLo(table) | bitsOf(ROOT.P), hpaHi(table))
    })
  }

  /** The entry of a requester; one that is not present where its bus has no table. */
  read(requester: Bdf): EntryWords {
    const at = this.#at(requester)
    return at === undefined ? NO_ENTRY : this.#memory.load128(at)
  }
  /** Stores the entry of a requester in one piece; nothing is flushed. @throws Error when `prepare` was forgotten */
  write(requester: Bdf, entry: EntryWords): void {
    const at = this.#at(requester)
    if (at === undefined) throw new Error(`${this.#unit}: bus ${busOf(requester)} has no context table`)
    this.#memory.store128(at, entry)
  }

  /** Frees all tables. The unit must not translate any more. */
  free(): void {
    for (const table of this.#tables.values()) this.#memory.pages.free(table, 4096)
    this.#tables.clear()
    this.#memory.pages.free(this.root, 4096)
  }

  #at(requester: Bdf): Hpa | undefined {
    const table = this.#tables.get(busOf(requester))
    return table === undefined ? undefined : table + (requester & 0xff) * CONTEXT_ENTRY_BYTES
  }
}

/** The table an entry points to. */
export const tableOf = (entry: EntryWords): Hpa => hpaOf(entry[1], entry[0] & ~0xfff)
