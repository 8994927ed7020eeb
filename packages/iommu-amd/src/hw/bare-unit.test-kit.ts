/** A unit on 64 MiB of RAM without a host, fed through registers and memory alone. */
import {
  ACCESS,
  type Access,
  AtsGrant,
  type Bdf,
  DmaRequest,
  HostMemory,
  NO_PASID,
  split,
  hiWord,
  loWord,
  VirtualClock,
} from '@ioasis/core'
import type { FeatureRegisters } from './capabilities.ts'
import { AmdUnit, type AmdUnitOptions } from './unit.ts'

/** IR and IW of an entry. */
export const RW = 3n << 61n
export const IR = 1n << 61n
export const IW = 1n << 62n
/** Force Coherent. */
export const FC = 1n << 60n
/** A command or event ring of 256 entries. */
export const COMMANDS = 0x24_0000
export const EVENTS = 0x25_0000
export const DEVTAB = 0x30_0000
/** HATS 6 levels, IASup, GTSup with 5 levels, GLX 3, GIOV, HA, HD, PPR, PASIDs of 20 bits; IOTLB. */
export const FULL: FeatureRegisters = {
  efr: 0x0013_0013_0000_9852n | (1n << 49n) | (1n << 52n),
  capabilityHeader: 0x0903_000f,
}
/** As the specification cases have it: six levels, INVALIDATE_IOMMU_ALL. */
export const PLAIN: FeatureRegisters = { efr: 0x840n, capabilityHeader: 0x0803_000f }

/** What one access did. */
export interface Asked {
  readonly status: number
  readonly hpa: number
  readonly bytes: number
  readonly snooped: boolean
}
/** How an access differs from a read of 8 bytes without PASID. */
export interface Ask {
  readonly requester?: Bdf
  readonly access?: Access
  readonly pasid?: number
  readonly length?: number
  readonly noSnoop?: boolean
  readonly translated?: boolean
  readonly exec?: boolean
  readonly priv?: boolean
}

/** A unit with its surroundings. */
export class BareUnit {
  readonly memory = new HostMemory()
  readonly clock = new VirtualClock()
  readonly raised: { address: bigint; data: number }[] = []
  readonly stray: unknown[] = []
  readonly unit: AmdUnit
  #tail = 0

  /** @param control CTRL beside IommuEn, EventLogEn, CmdBufEn */
  constructor(options: Partial<AmdUnitOptions> = PLAIN, control = 0n) {
    this.memory.addRam(0, 64 << 20)
    const raise = (address: bigint, data: number): void => void this.raised.push({ address, data })
    this.unit = new AmdUnit({ name: 'ivhd0', ...PLAIN, covers: () => true, ...options }, this.memory, raise, {
      clock: this.clock,
      strayResponse: (...answer) => this.stray.push(answer),
    })
    this.store(0x00, BigInt(DEVTAB))
    this.store(0x08, 0x0800_0000_0000_0000n | BigInt(COMMANDS))
    this.store(0x10, 0x0800_0000_0000_0000n | BigInt(EVENTS))
    this.store(0x18, 0x1005n | control)
  }
  /** A CPU's stores. */
  put(hpa: number, ...words: bigint[]): this {
    this.memory.write(hpa, new Uint8Array(BigUint64Array.from(words).buffer))
    return this
  }
  word(hpa: number): bigint {
    const bytes = new BigUint64Array(1)
    this.memory.read(hpa, new Uint8Array(bytes.buffer))
    return bytes[0] as bigint
  }
  /** A device table entry. */
  device(requester: Bdf, ...words: bigint[]): this {
    return this.put(DEVTAB + requester * 32, ...words)
  }
  store(offset: number, value: bigint): this {
    this.unit.mmio.store(offset, 8, value)
    return this
  }
  load(offset: number): bigint {
    return this.unit.mmio.load(offset, 8)
  }
  /** Queues a command. */
  command(lo: bigint, hi = 0n): this {
    this.put(COMMANDS + this.#tail, lo, hi)
    this.#tail = (this.#tail + 16) & 0xfff
    return this.store(0x2008, BigInt(this.#tail))
  }
  /** The ring begins anew. */
  rewind(): void {
    this.#tail = 0
  }
  /** Entries of the event log since the last call. */
  events(): bigint[][] {
    const head = Number(this.load(0x2010))
    const tail = Number(this.load(0x2018))
    const all: bigint[][] = []
    for (let at = head; at !== tail; at = (at + 16) & 0xfff)
      all.push([this.word(EVENTS + at), this.word(EVENTS + at + 8)])
    this.store(0x2010, BigInt(tail))
    return all
  }
  request(iova: bigint, how: Ask = {}): DmaRequest {
    const request = new DmaRequest(how.requester ?? 0x10)
    split(iova)
    request.iovaHi = hiWord()
    request.iovaLo = loWord()
    request.length = how.length ?? 8
    request.access = how.access ?? ACCESS.READ
    request.pasid = how.pasid ?? NO_PASID
    request.noSnoop = how.noSnoop ?? false
    request.translated = how.translated ?? false
    request.exec = how.exec ?? false
    request.priv = how.priv ?? false
    return request
  }
  ask(iova: bigint, how: Ask = {}): Asked {
    const request = this.request(iova, how)
    const status = this.unit.translate(request)
    const { hpa, bytes, snooped } = request.out
    return { status, hpa, bytes, snooped }
  }
  ats(iova: bigint, how: Ask = {}): AtsGrant {
    const grant = new AtsGrant()
    this.unit.ats.translate(this.request(iova, how), grant)
    return grant
  }
  /** Four levels for 0x12345000 of domain 1, read-write, to 0x2000000; 00:02.0 and 00:03.0 are in it. */
  fourLevels(leaf: bigint = RW | 0x200_0001n): this {
    this.device(0x10, RW | 0x11_0803n, 1n, 0n, 0n).device(0x18, RW | 0x11_0803n, 1n, 0n, 0n)
    this.put(0x11_0000, RW | 0x11_1601n).put(0x11_1000, RW | 0x11_2401n)
    return this.put(0x11_2488, RW | 0x11_3201n).put(0x11_3a28, leaf)
  }
}
