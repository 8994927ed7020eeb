/**
 * Address vocabulary. A flavour stops one space being passed where another is meant; it costs nothing at run time.
 *
 * An iova, gpa or uva is a bigint at the public edges: the uAPI carries inclusive `last` values up to 2^64-1. An hpa is a
 * number: hardware stops at 52 bits, which a double holds exactly. On every hot path both are two int32 words (hi, lo),
 * split once at the edge and never joined again.
 */
declare const space: unique symbol
type In<T, S extends string> = T & { readonly [space]?: S }

/** I/O virtual address: what a device puts on the bus. 0 to 2^64-1. */
export type Iova = In<bigint, 'iova'>
/** Guest-physical address. 0 to 2^64-1. */
export type Gpa = In<bigint, 'gpa'>
/** User virtual address of one process. 0 to 2^64-1. */
export type Uva = In<bigint, 'uva'>
/** Host-physical address, an integer of at most 52 bits. */
export type Hpa = In<number, 'hpa'>
/** PCI requester id: bus[15:8] device[7:3] function[2:0]. The segment is kept beside it where several exist. */
export type Bdf = In<number, 'bdf'>
/** Process address space id, 20 bits. `NO_PASID` in a request means: no PASID prefix. */
export type Pasid = In<number, 'pasid'>

/** `DmaRequest.pasid` of a request that carries no PASID. */
export const NO_PASID: Pasid = -1

/** A closed interval of I/O virtual addresses: `last` is part of it, as in `struct iommu_iova_range`. */
export interface IovaRange {
  readonly first: Iova
  readonly last: Iova
}

const joined = new BigUint64Array(1)
const halves = new Int32Array(joined.buffer)

/**
 * Splits a u64 into two int32 words; `hiWord()` and `loWord()` read the result until the next split.
 * @param value any bigint; taken modulo 2^64
 */
export function split(value: bigint): void {
  joined[0] = value
}
/** Bits 63:32 of the last `split`, as int32. */
export const hiWord = (): number => halves[1] as number
/** Bits 31:0 of the last `split`, as int32. */
export const loWord = (): number => halves[0] as number

/** Joins two words (int32 or uint32) into a u64. */
export function join(hi: number, lo: number): bigint {
  halves[1] = hi
  halves[0] = lo
  return joined[0] as bigint
}

/** Bits 63:32 of an hpa, as int32. */
export const hpaHi = (hpa: Hpa): number => (hpa / 0x1_0000_0000) | 0
/** Bits 31:0 of an hpa, as int32. */
export const hpaLo = (hpa: Hpa): number => hpa | 0
/** The hpa of two words; `hi` must hold at most 20 bits. */
export const hpaOf = (hi: number, lo: number): Hpa => (hi >>> 0) * 0x1_0000_0000 + (lo >>> 0)

/** `0x1f` for 31: how every message and listing prints an address. */
export const hex = (value: number | bigint): string => `0x${value.toString(16)}`

/** Makes a requester id. @throws RangeError when a part is out of its range */
export function bdf(bus: number, device: number, fn: number): Bdf {
  if (bus >>> 8 || device >>> 5 || fn >>> 3) throw new RangeError(`bdf: ${bus}:${device}.${fn} is out of range`)
  return (bus << 8) | (device << 3) | fn
}
/** Bus number of a requester id, 0 to 255. */
export const busOf = (id: Bdf): number => (id >>> 8) & 0xff
/** Device number of a requester id, 0 to 31. */
export const deviceOf = (id: Bdf): number => (id >>> 3) & 31
/** Function number of a requester id, 0 to 7. */
export const functionOf = (id: Bdf): number => id & 7

const byte = (n: number): string => n.toString(16).padStart(2, '0')

/** `01:00.0`; with a segment `0000:01:00.0`, as sysfs names a function. */
export function formatBdf(id: Bdf, segment?: number): string {
  const short = `${byte(busOf(id))}:${byte(deviceOf(id))}.${functionOf(id)}`
  return segment === undefined ? short : `${segment.toString(16).padStart(4, '0')}:${short}`
}

/**
 * Reads `01:00.0` or `0000:01:00.0`.
 * @returns undefined when the text is neither
 */
export function parseBdf(text: string): { readonly segment: number; readonly bdf: Bdf } | undefined {
  const m = /^(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}):([01][0-9a-f])\.([0-7])$/i.exec(text)
  if (!m) return undefined
  const [, segment = '0', bus, device, fn] = m as unknown as [string, string | undefined, string, string, string]
  return { segment: parseInt(segment, 16), bdf: bdf(parseInt(bus, 16), parseInt(device, 16), Number(fn)) }
}
