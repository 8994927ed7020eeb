/** A unit on bare memory, for tests: tables are written as words, registers by offset, DMA is one request. */
import { ACCESS, type Access, type Bdf, DmaRequest, HostMemory, type Trace } from '@ioasis/core'
import { GCMD, REG } from '../spec/registers.ts'
import { VtdUnit, type VtdUnitOptions } from './unit.ts'

/** SAGAW 39, 48 and 57 bits, 16-bit domains, one fault record at 0x220, 2 MiB and 1 GiB leaves, PSI, MAMV 18. */
export const CAP = 0x19d2_008c_2238_0e06n
/** Coherent walks, queue, device TLB, interrupt remapping, pass-through, snoop control, IOTLB registers at 0xf0. */
export const ECAP = 0xf0_0fdfn
/** Where the kit puts things. */
export const AT = {
  ROOT: 0x10_0000,
  CONTEXT: 0x10_1000,
  TABLE: 0x11_0000,
  QUEUE: 0x20_0000,
  STATUS: 0x23_0000,
} as const
/** Requester 00:02.0 and 00:03.0. */
export const NIC: Bdf = 0x10
export const DISK: Bdf = 0x18

/** What a request came to. */
export interface Answer {
  readonly status: number
  readonly hpa: number
  readonly bytes: number
  readonly snooped: boolean
  readonly target: number
}

/** The machine of a test. */
export class BareUnit {
  readonly memory = new HostMemory()
  readonly unit: VtdUnit
  /** Messages the unit sent itself. */
  readonly raised: { readonly address: bigint; readonly data: number }[] = []

  constructor(options: Partial<VtdUnitOptions> = {}, trace?: Trace) {
    this.memory.addRam(0, 64 << 20)
    this.unit = new VtdUnit(
      { name: 'dmar0', cap: CAP, ecap: ECAP, haw: 46, covers: () => true, ...options },
      this.memory,
      (address, data) => this.raised.push({ address, data }),
      trace,
    )
  }

  /** The CPU stores 64-bit words from `hpa` on. */
  put(hpa: number, ...words: readonly bigint[]): void {
    this.memory.write(hpa, new Uint8Array(BigUint64Array.from(words).buffer))
  }
  /** A 64-bit word of memory. */
  word(hpa: number): bigint {
    const bytes = new Uint8Array(8)
    this.memory.read(hpa, bytes)
    return new DataView(bytes.buffer).getBigUint64(0, true)
  }
  /** Software loads 4 or 8 bytes of a register. */
  load(offset: number, size: 4 | 8 = 4): bigint {
    return this.unit.mmio.load(offset, size)
  }
  store(offset: number, value: bigint | number, size: 4 | 8 = 4): void {
    this.unit.mmio.store(offset, size, BigInt(value))
  }
  /** Writes GCMD with these bits and the state bits that are set. */
  command(bits: number): void {
    const state = GCMD.TE | GCMD.QIE | GCMD.IRE | GCMD.CFI
    this.store(REG.GCMD, BigInt.asUintN(32, BigInt((Number(this.load(REG.GSTS)) & state) | bits)))
  }
  /** Root table for bus 0 and translation on. @param mode low bits of RTADDR */
  start(mode = 0): this {
    this.put(AT.ROOT, BigInt(AT.CONTEXT | 1), 0n)
    this.store(REG.RTADDR, AT.ROOT | mode, 8)
    this.command(GCMD.SRTP)
    this.command(GCMD.TE)
    return this
  }
  /** Puts the context entry of a function on bus 0: multi-level, 48 bits, unless given otherwise. */
  context(fn: Bdf, entry: { table?: number; low?: bigint; width?: number; domain?: number } = {}): this {
    const { table = AT.TABLE, low = 1n, width = 2, domain = 1 } = entry
    this.put(AT.CONTEXT + fn * 16, BigInt(table) | low, BigInt(width | (domain << 8)))
    return this
  }
  /** Four tables of one page each from `table` on that map iova 0x12345000 with `leaf`. */
  map(leaf: bigint, table: number = AT.TABLE): this {
    this.put(table, BigInt(table + 0x1003))
    this.put(table + 0x1000, BigInt(table + 0x2003))
    this.put(table + 0x2000 + 0x91 * 8, BigInt(table + 0x3003))
    this.put(table + 0x3000 + 0x145 * 8, leaf)
    return this
  }
  /** One request. */
  dma(requester: Bdf, access: Access, iova: bigint, more: { length?: number } & Partial<DmaRequest> = {}): Answer {
    const request = this.request(requester, access, iova, more)
    const status = this.unit.translate(request)
    const { hpa, bytes, snooped, target } = request.out
    return { status, hpa, bytes, snooped, target }
  }
  write(iova: bigint, requester: Bdf = NIC): Answer {
    return this.dma(requester, ACCESS.WRITE, iova)
  }
  read(iova: bigint, requester: Bdf = NIC): Answer {
    return this.dma(requester, ACCESS.READ, iova)
  }
  request(requester: Bdf, access: Access, iova: bigint, more: Partial<DmaRequest> = {}): DmaRequest {
    const request = new DmaRequest(requester)
    request.access = access
    request.iovaHi = Number(BigInt.asIntN(32, iova >> 32n))
    request.iovaLo = Number(BigInt.asIntN(32, iova))
    request.length = 8
    return Object.assign(request, more)
  }
  /** Enables a queue of one page and submits descriptors, one after the other from offset 0. */
  queue(...descriptors: readonly (readonly [bigint, bigint])[]): void {
    descriptors.forEach(([first, second], i) => this.put(AT.QUEUE + i * 16, first, second))
    this.store(REG.IQA, AT.QUEUE, 8)
    this.command(GCMD.QIE)
    this.store(REG.IQT, descriptors.length * 16, 8)
  }
}

/** The page every test maps. */
export const IOVA = 0x1234_5000n
