/** Where ports, units and the host bridge meet. */
import { type Bdf, hpaOf, join } from '../address.ts'
import type { HostMemory } from '../memory/host-memory.ts'
import { type Token, token } from '../plugin/token.ts'
import type { Trace } from '../trace.ts'
import { decodeMsi, type Interrupts } from './interrupt.ts'
import { DmaPort, type PortBus, type Translator } from './port.ts'
import { ACCESS, type Access, DMA, type DmaRequest, type Status, TARGET } from './request.ts'
import type { IommuUnit } from './unit.ts'

/** How deep DMA may answer DMA (peer to peer, doorbells) before it is refused. */
export const DMA_DEPTH = 8

/** First and last address of the range whose 4-byte writes are interrupt messages: 0xFEE00000 on x86. */
export const MSI_WINDOW: { readonly first: number; readonly last: number } = { first: 0xfee0_0000, last: 0xfeef_ffff }

/** Requests that no unit covers: the iova is the hpa. */
class HostBridge implements Translator {
  translate(request: DmaRequest): Status {
    const { out } = request
    out.hpaHi = request.iovaHi
    out.hpaLo = request.iovaLo
    out.snooped = !request.noSnoop
    const inWindow = request.iovaHi === 0 && request.iovaLo >>> 20 === MSI_WINDOW.first >>> 20
    out.target = inWindow ? TARGET.INTERRUPT : TARGET.MEMORY
    out.bytes = Math.min(request.length, (0x10_0000 - (request.iovaLo & 0xf_ffff)) | 0)
    return DMA.OK
  }
}

/** The bus of one host: makes ports, binds them to units, carries interrupt messages. */
export class DmaFabric implements PortBus {
  /** Whether anybody traces DMA; each port is told. */
  traced = false
  readonly #memory: HostMemory
  readonly #interrupts: Interrupts
  readonly #trace: Trace
  readonly #bridge = new HostBridge()
  readonly #units: IommuUnit[] = []
  readonly #ports = new Set<DmaPort>()
  #depth = 0

  constructor(memory: HostMemory, interrupts: Interrupts, trace: Trace) {
    this.#memory = memory
    this.#interrupts = interrupts
    this.#trace = trace
    trace.onChange('dma', (wanted) => {
      this.traced = wanted
      for (const port of this.#ports) port.traced = wanted
    })
  }

  /** Makes a port for a requester, bound to the unit that covers it. */
  port(segment: number, requester: Bdf): DmaPort {
    const unit = this.unitOf(segment, requester)
    const port = new DmaPort(this, this.#memory, this.#trace, segment, requester, unit ?? this.#bridge)
    port.traced = this.traced
    this.#ports.add(port)
    return port
  }
  /** The function is gone: nothing it sends arrives any more. */
  drop(port: DmaPort): void {
    port.enabled = false
    this.#ports.delete(port)
  }
  /** Adds a unit and binds the ports it covers. */
  addUnit(unit: IommuUnit): void {
    this.#units.push(unit)
    for (const port of this.#ports) if (this.unitOf(port.segment, port.request.requester) === unit) port.bind(unit)
  }
  /** The first unit that covers the requester; undefined: its requests are not translated. */
  unitOf(segment: number, requester: Bdf): IommuUnit | undefined {
    return this.#units.find((unit) => unit.covers(segment, requester))
  }
  /** The units, in the order they were added. */
  get units(): readonly IommuUnit[] {
    return this.#units
  }
  /** Ports not dropped: an audit counter. */
  get ports(): number {
    return this.#ports.size
  }

  /**
   * A copy that no raw view can serve: registers, RAM behind a backing, RAM behind the CPUs' caches, nothing.
   * @returns bytes moved, or a negative `DMA` status
   */
  slowCopy(
    access: Access,
    hi: number,
    lo: number,
    snooped: boolean,
    bytes: Uint8Array,
    start: number,
    n: number,
  ): number {
    if (this.#depth >= DMA_DEPTH) return DMA.TOO_DEEP
    const hpa = hpaOf(hi, lo)
    const part = bytes.subarray(start, start + n)
    const to = snooped && this.#memory.snoop ? this.#memory.snoop : this.#memory
    this.#depth++
    try {
      return access === ACCESS.WRITE ? to.write(hpa, part) : to.read(hpa, part)
    } finally {
      this.#depth--
    }
  }

  /**
   * An access that fell into the interrupt window. A 4-byte write is a message; anything else gets no answer: reads give
   * zeros, writes are lost, and neither is an error (as q35 does; the specifications leave it open).
   */
  message(port: DmaPort, access: Access, hi: number, lo: number, bytes: Uint8Array, start: number, n: number): number {
    if (access !== ACCESS.WRITE) bytes.fill(0, start, start + n)
    else if (n === 4 && (lo & 3) === 0) {
      const data = new DataView(bytes.buffer, bytes.byteOffset + start, 4).getUint32(0, true)
      this.raise(port.segment, port.request.requester, join(hi, lo), data)
    }
    return n
  }

  /** Carries a message from a function through its unit to the CPUs. */
  raise(segment: number, requester: Bdf, address: bigint, data: number): void {
    const msi = this.unitOf(segment, requester)?.msi
    const message = { address, data }
    const interrupt = msi ? msi.remap(message, requester) : decodeMsi(message)
    if (interrupt) this.#interrupts.deliver(interrupt)
  }
}
/** The DMA fabric of this host. */
export const Bus: Token<DmaFabric> = token('Bus')
