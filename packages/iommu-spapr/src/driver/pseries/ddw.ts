/** The RTAS calls on DMA windows as the kernel makes them. arch/powerpc/platforms/pseries/iommu.c query_ddw, create_ddw, reset_dma_window. */
import type { PciFunction } from '@ioasis/core'
import { cell, type DeviceNode, PROPERTY } from '../../spec/device-tree.ts'
import { RTAS, type RtasFirmware } from '../../spec/rtas.ts'

/** What a query tells. */
export interface DdwQuery {
  readonly windows: number
  /** Entries of the largest window. */
  readonly block: bigint
  /** As `QUERY_SHIFTS`. */
  readonly pageSizes: number
}
/** What firmware made. */
export interface DdwWindow {
  readonly liobn: number
  readonly first: bigint
}

/** The calls on one bridge's windows. */
export class Ddw {
  readonly #rtas: RtasFirmware
  readonly #node: DeviceNode
  readonly #buid: bigint

  constructor(rtas: RtasFirmware, node: DeviceNode, buid: bigint) {
    this.#rtas = rtas
    this.#node = node
    this.#buid = buid
  }

  /** The node names the calls. */
  get applicable(): boolean {
    return this.#token(2) !== undefined
  }
  /** The node names a call that restores the default window. */
  get resets(): boolean {
    return this.#extension(1) !== undefined
  }

  /** @returns undefined when firmware refuses */
  query(fn: PciFunction): DdwQuery | undefined {
    const outputs = this.#extension(2) === 1 ? 6 : 5
    const out = this.#rtas.call(this.#token(0) ?? 0, this.#place(fn), outputs)
    if (out[0] !== RTAS.SUCCESS) return undefined
    const at = (i: number): number => out[i] as number
    return outputs === 6
      ? { windows: at(1), block: (BigInt(at(2)) << 32n) | BigInt(at(3)), pageSizes: at(4) }
      : { windows: at(1), block: BigInt(at(2)), pageSizes: at(3) }
  }
  create(fn: PciFunction, pageShift: number, windowShift: number): DdwWindow | undefined {
    const out = this.#rtas.call(this.#token(1) ?? 0, [...this.#place(fn), pageShift, windowShift], 4)
    if (out[0] !== RTAS.SUCCESS) return undefined
    const [, liobn, high, low] = out as readonly [number, number, number, number]
    return { liobn, first: (BigInt(high) << 32n) | BigInt(low) }
  }
  /** The window must be clean. */
  remove(liobn: number): void {
    this.#rtas.call(this.#token(2) ?? 0, [liobn], 1)
  }
  /** Drops all windows and makes the default one again. */
  reset(fn: PciFunction): void {
    const token = this.#extension(1)
    if (token !== undefined) this.#rtas.call(token, this.#place(fn), 1)
  }
  /** Windows below 2^64 for devices with fewer address bits. @returns whether firmware has them */
  limit(fn: PciFunction): boolean {
    const token = this.#extension(1)
    const supported = this.#extension(3)
    if (token === undefined || !supported) return false
    return this.#rtas.call(token, [...this.#place(fn), 1], 1)[0] === RTAS.SUCCESS
  }

  #token(index: number): number | undefined {
    return cell(this.#node.get(PROPERTY.APPLICABLE) ?? new Uint8Array(), index)
  }
  /** ddw_read_ext(). */
  #extension(index: number): number | undefined {
    const bytes = this.#node.get(PROPERTY.EXTENSIONS)
    const count = bytes && cell(bytes, 0)
    return bytes && count !== undefined && count >= index ? cell(bytes, index) : undefined
  }
  /** Configuration address and bridge. */
  #place({ bdf }: PciFunction): readonly number[] {
    return [bdf << 8, Number(this.#buid >> 32n), Number(this.#buid & 0xffff_ffffn)]
  }
}
