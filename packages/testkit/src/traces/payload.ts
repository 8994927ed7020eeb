/** Bytes as scripts write them: `u32:0,2|u64:0,0x1000`, `hex:0011`, `str:text`, `zero:16`, `ff:4`, `fd:@a,@b`. */
import { bytesToHex, hexToBytes } from './hex.ts'
import type { Names } from './names.ts'
import { TraceError } from './trace-file.ts'

/** A payload with the way a trace prints it: hex, or names of descriptors. */
export interface Payload {
  readonly bytes: Uint8Array
  readonly shown: string
}

const WIDTHS: Readonly<Record<string, number>> = { u8: 1, u16: 2, u32: 4, u64: 8 }

/** @throws TraceError for a part that is none of the above */
export function payloadOf(text: string, names: Names): Payload {
  const parts = text.split(/\|(?=(?:u8|u16|u32|u64|fd|hex|str|zero|ff):)/)
  const pieces = parts.map((part) => piece(part, names))
  const bytes = new Uint8Array(pieces.reduce((sum, p) => sum + p.length, 0))
  let at = 0
  for (const one of pieces) {
    bytes.set(one, at)
    at += one.length
  }
  return { bytes, shown: parts.every((part) => part.startsWith('fd:')) ? text : bytesToHex(bytes) }
}

function piece(text: string, names: Names): Uint8Array {
  const colon = text.indexOf(':')
  const kind = text.slice(0, colon)
  const rest = text.slice(colon + 1)
  const width = kind === 'fd' ? 4 : WIDTHS[kind]
  if (width !== undefined) return integers(rest, width, names)
  switch (kind) {
    case 'hex':
      return hexToBytes(rest)
    case 'str':
      return Uint8Array.from(rest, (c) => c.charCodeAt(0))
    case 'zero':
      return new Uint8Array(names.count(rest, 'zero'))
    case 'ff':
      return new Uint8Array(names.count(rest, 'ff')).fill(0xff)
    default:
      throw new TraceError(`"${text}" is no payload`)
  }
}

function integers(list: string, width: number, names: Names): Uint8Array {
  const values = list.split(',').map((v) => names.number(v))
  const bytes = new Uint8Array(values.length * width)
  values.forEach((value, i) => {
    storeInteger(bytes, i * width, width, value)
  })
  return bytes
}

/** Stores the low bytes of a value, the lowest first. */
export function storeInteger(into: Uint8Array, at: number, width: number, value: bigint): void {
  for (let i = 0; i < width; i++) into[at + i] = Number((value >> BigInt(8 * i)) & 0xffn)
}

/** Reads an unsigned value, the lowest byte first. */
export function loadInteger(from: Uint8Array, at: number, width: number): bigint {
  let value = 0n
  for (let i = width - 1; i >= 0; i--) value = (value << 8n) | BigInt(from[at + i] ?? 0)
  return value
}
