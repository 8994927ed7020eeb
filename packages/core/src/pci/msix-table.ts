/** The MSI-X table and pending bits of one function. PCI Local Bus Specification r3.0 "6.8.2 MSI-X Capability and Table Structures". */
import type { AccessSize } from '../memory/backing.ts'
import { MSIX } from './header.ts'

/** Entries of 16 bytes and one pending bit each, as registers in a BAR. */
export class MsixTable {
  readonly entries: number
  readonly #table: DataView
  readonly #pending: DataView
  readonly #changed: () => void

  /**
   * @param entries 1 to 2048
   * @param changed software wrote the table: something may have been unmasked
   */
  constructor(entries: number, changed: () => void) {
    this.entries = entries
    this.#table = new DataView(new ArrayBuffer(entries * MSIX.ENTRY_BYTES))
    this.#pending = new DataView(new ArrayBuffer(Math.ceil(entries / 64) * 8))
    this.#changed = changed
    this.reset()
  }

  /** Bytes of the table. */
  get tableBytes(): number {
    return this.#table.byteLength
  }
  /** Bytes of the pending bit array: whole 64-bit words. */
  get pendingBytes(): number {
    return this.#pending.byteLength
  }

  loadTable(offset: number, size: AccessSize): bigint {
    return load(this.#table, offset, size)
  }
  /** Vector control keeps bit 0 only: no steering tags here. */
  storeTable(offset: number, size: AccessSize, value: bigint): void {
    for (let i = 0; i < size; i++) this.#storeByte(offset + i, Number((value >> BigInt(8 * i)) & 0xffn))
    this.#changed()
  }
  loadPending(offset: number, size: AccessSize): bigint {
    return load(this.#pending, offset, size)
  }

  masked(entry: number): boolean {
    return (this.#table.getUint8(entry * MSIX.ENTRY_BYTES + 12) & MSIX.ENTRY_MASKED) !== 0
  }
  /** The message of an entry. */
  message(entry: number): { readonly address: bigint; readonly data: number } {
    const at = entry * MSIX.ENTRY_BYTES
    return { address: this.#table.getBigUint64(at, true), data: this.#table.getUint32(at + 8, true) }
  }
  pending(entry: number): boolean {
    return (this.#pending.getUint8(entry >>> 3) & (1 << (entry & 7))) !== 0
  }
  setPending(entry: number, pending: boolean): void {
    const old = this.#pending.getUint8(entry >>> 3)
    this.#pending.setUint8(entry >>> 3, pending ? old | (1 << (entry & 7)) : old & ~(1 << (entry & 7)))
  }

  /** All entries masked and zero, nothing pending. */
  reset(): void {
    new Uint8Array(this.#table.buffer).fill(0)
    new Uint8Array(this.#pending.buffer).fill(0)
    for (let i = 0; i < this.entries; i++) this.#table.setUint8(i * MSIX.ENTRY_BYTES + 12, MSIX.ENTRY_MASKED)
  }

  #storeByte(at: number, byte: number): void {
    const field = at % MSIX.ENTRY_BYTES
    const writable = field < 12 ? (field === 0 ? 0xfc : 0xff) : field === 12 ? MSIX.ENTRY_MASKED : 0
    this.#table.setUint8(at, byte & writable)
  }
}

function load(view: DataView, offset: number, size: AccessSize): bigint {
  if (size === 8) return view.getBigUint64(offset, true)
  if (size === 4) return BigInt(view.getUint32(offset, true))
  return BigInt(size === 2 ? view.getUint16(offset, true) : view.getUint8(offset))
}
