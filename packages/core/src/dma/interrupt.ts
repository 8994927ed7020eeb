/** Interrupts on their way from a device to a CPU: message, host bridge window, unit, sink. */
import type { Bdf } from '../address.ts'
import { type Token, token } from '../plugin/token.ts'

/** A message signalled interrupt as a function sends it: a 4-byte write. */
export interface MsiMessage {
  /** u64. */
  readonly address: bigint
  /** u32. */
  readonly data: number
}

/** An interrupt as it reaches the CPUs, x86 terms (Intel SDM vol. 3, "Message Signalled Interrupts"). */
export interface InterruptMessage {
  readonly vector: number
  /** Destination APIC id. */
  readonly dest: number
  readonly destMode: 'physical' | 'logical'
  /** 0 fixed, 1 lowest priority, 2 SMI, 4 NMI, 5 INIT, 7 ExtINT. */
  readonly deliveryMode: number
}

/** Decodes a compatibility-format message: address 0xFEExxxxx, vector in the data. */
export function decodeMsi({ address, data }: MsiMessage): InterruptMessage {
  const lo = Number(BigInt.asUintN(32, address))
  return {
    vector: data & 0xff,
    dest: (lo >>> 12) & 0xff,
    destMode: lo & 4 ? 'logical' : 'physical',
    deliveryMode: (data >>> 8) & 7,
  }
}

/** Where interrupts end: the CPUs' interrupt controllers, and whoever asked for a vector. */
export interface Interrupts {
  /** Sets the vector pending and calls its handler, if any. */
  deliver(message: InterruptMessage): void
  /** Runs `action` for each delivery of `vector`. @returns stops it */
  handle(vector: number, action: (message: InterruptMessage) => void): () => void
  /** Takes a free vector, 0x21 to 0xfe: on a PC Linux gives 0x20 to the clock; @throws RangeError when none is left. @returns its number */
  allocate(): number
  free(vector: number): void
  /** Vectors delivered and not taken by a handler, lowest first. */
  readonly pending: readonly number[]
  /** Level-triggered lines of devices without MSI: raised by (segment, bdf, pin). */
  setLine(source: { readonly segment: number; readonly bdf: Bdf; readonly pin: 1 | 2 | 3 | 4 }, asserted: boolean): void
  /** Whether any source asserts the line of that function. */
  lineAsserted(source: { readonly segment: number; readonly bdf: Bdf; readonly pin: 1 | 2 | 3 | 4 }): boolean
  /** Runs `action` each time a function begins to assert its line, whichever pin. @returns stops it */
  watchLine(source: { readonly segment: number; readonly bdf: Bdf }, action: () => void): () => void
}

/** The interrupt sink of this host. */
export const Interrupts: Token<Interrupts> = token('Interrupts')
