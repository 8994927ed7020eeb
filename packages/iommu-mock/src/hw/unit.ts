/**
 * Silicon for functions on PCI: a device table and page tables in memory, no caches. Linux has none: its mock devices do no DMA.
 * A register holds where the device table lies; the others read as the last fault.
 */
import {
  ACCESS,
  type Bdf,
  type Claim,
  DMA,
  type DmaRequest,
  hpaHi,
  hpaLo,
  hpaOf,
  type HostMemory,
  type Hpa,
  type IommuUnit,
  type MmioWindow,
  MSI_WINDOW,
  NO_PASID,
  type Status,
  TARGET,
} from '@ioasis/core'
import { DEVICE_ENTRY } from '../spec/device-table.ts'
import { REGISTER } from '../spec/registers.ts'
import { Walk } from './walk.ts'

/** Fault reasons. */
export const FAULT = { BLOCKED: 1, PASID: 2, NOT_MAPPED: 3, PERMISSION: 4 } as const
const REASONS = ['', 'requester is blocked', 'request with a PASID', 'nothing is mapped', 'page lacks the permission']

/** READ and WRITE of a page's entry, in its high word. */
const LEAF_READ = 1 << 29
const LEAF_WRITE = 1 << 30

/** One unit. */
export class MockUnit implements IommuUnit {
  readonly name: string
  readonly covers: IommuUnit['covers']
  readonly mmio: MmioWindow
  readonly #memory: HostMemory
  readonly #walk: Walk
  readonly #interrupt: () => void
  readonly #log: bigint[] = [0n, 0n, 0n, 0n]
  #table: Hpa = 0

  /** @param interrupt a fault was logged */
  constructor(name: string, covers: IommuUnit['covers'], memory: HostMemory, interrupt: () => void) {
    this.name = name
    this.covers = covers
    this.#memory = memory
    this.#walk = new Walk(memory)
    this.#interrupt = interrupt
    this.mmio = {
      load: (offset) => this.#log[(offset - REGISTER.FAULT_IOVA) / 8] ?? BigInt(this.#table),
      store: (offset, _size, value) => {
        if (offset === REGISTER.DEVICE_TABLE) this.#table = Number(value)
      },
    }
  }

  translate(request: DmaRequest): Status {
    const { iovaHi, iovaLo, out } = request
    out.snooped = !request.noSnoop
    if (iovaHi === 0 && iovaLo >>> 20 === MSI_WINDOW.first >>> 20) return pass(request, TARGET.INTERRUPT)
    const entry = this.#entryOf(request.requester)
    if (entry === 0) return this.#refuse(request, FAULT.BLOCKED)
    if (request.pasid !== NO_PASID) return this.#refuse(request, FAULT.PASID)
    if ((entry & DEVICE_ENTRY.THROUGH) !== 0) return pass(request, TARGET.MEMORY)
    const walk = this.#walk
    const root = hpaOf(this.#memory.entryHi, entry & ~0xfff)
    if (!walk.find(root, iovaHi, iovaLo)) return this.#refuse(request, FAULT.NOT_MAPPED)
    const { access } = request
    const needed = ((access & ACCESS.READ) !== 0 ? LEAF_READ : 0) | ((access & ACCESS.WRITE) !== 0 ? LEAF_WRITE : 0)
    if ((walk.hi & needed) !== needed) return this.#refuse(request, FAULT.PERMISSION)
    if ((access & ACCESS.WRITE) !== 0 && (entry & DEVICE_ENTRY.TRACKS) !== 0) walk.markDirty()
    const target = walk.target(iovaHi, iovaLo)
    out.target = TARGET.MEMORY
    out.hpaHi = hpaHi(target)
    out.hpaLo = hpaLo(target)
    out.bytes = Math.min(request.length, walk.bytesToEnd(iovaLo))
    return DMA.OK
  }
  reasonText(status: Status): string {
    return REASONS[status] ?? `reason ${status}`
  }
  inspect(): readonly Claim[] {
    return []
  }

  /** Low word of a requester's entry; its high word is left in `memory.entryHi`. */
  #entryOf(requester: Bdf): number {
    const at = this.#table + requester * 8
    return this.#memory.loadEntry(hpaHi(at), hpaLo(at), true) ? this.#memory.entryLo : 0
  }
  #refuse({ iova, requester, access }: DmaRequest, reason: number): Status {
    this.#log.splice(0, 4, iova, BigInt(requester), BigInt(access), BigInt(reason))
    this.#interrupt()
    return reason
  }
}

/** Untranslated. */
function pass({ iovaHi, iovaLo, length, out }: DmaRequest, target: typeof out.target): Status {
  out.target = target
  out.hpaHi = iovaHi
  out.hpaLo = iovaLo
  out.bytes = Math.min(length, 0x1000 - (iovaLo & 0xfff))
  return DMA.OK
}
