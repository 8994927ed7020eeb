/**
 * C structs as data: members are declared in order, offsets and padding follow the C ABI of x86-64 and powerpc64, and the
 * TypeScript type is inferred from the declaration.
 *
 * `decode` copies the bytes once and reads members when they are asked for: what user space changes meanwhile is not seen.
 * Unions are not modelled: declare one struct for each arm, or `bytes(n)`.
 */
import { join } from './address.ts'

/** Words of a decoded struct, int32, in the order they lie in memory. */
export type Words = readonly number[]

/** A struct of which only names are known. */
export type Whole = Readonly<Record<string, unknown>>

/** A type a member can have. */
export interface Member<T> {
  readonly size: number
  readonly align: number
  /** Reads the member at byte `at` of decoded words. `whole` is the struct around it. */
  read(words: Words, at: number, whole: Whole): T
  write(into: DataView, at: number, value: T): void
  /** A user pointer: where its length stands, what it points to, who reads it. */
  readonly pointer?: UserPointer
  /** Names of its values, for printing. */
  readonly names?: MemberNames
  /** A flexible array: the member that holds its element count, and the size of one. */
  readonly flexible?: { readonly lengthField: string; readonly elementSize: number }
}

/** Names of a member's values: bits that add up, or one of several. */
export interface MemberNames {
  readonly kind: 'flags' | 'choice'
  readonly names: Readonly<Record<string, number>>
}

/** What a user pointer points to. */
export interface UserPointer {
  /** The member that holds the length. */
  readonly lengthField: string
  /** `in`: the kernel reads it, `out`: it writes it. */
  readonly direction: 'in' | 'out' | 'inout'
  /** Bytes of one unit of the length; default 1. */
  readonly unit: number
}

const byteAt = (words: Words, at: number): number => ((words[at >>> 2] as number) >>> ((at & 3) << 3)) & 0xff

function scalar(size: 1 | 2 | 4, signed: boolean): Member<number> {
  const drop = 32 - size * 8
  return {
    size,
    align: size,
    read: (words, at) => {
      const raw = ((words[at >>> 2] as number) >>> ((at & 3) << 3)) << drop
      return signed ? raw >> drop : raw >>> drop
    },
    write: (into, at, value) => {
      if (size === 1) into.setUint8(at, value)
      else if (size === 2) into.setUint16(at, value, true)
      else into.setUint32(at, value, true)
    },
  }
}

/** `__u8`. */
export const u8: Member<number> = scalar(1, false)
/** `__u16`, aligned to 2. */
export const u16: Member<number> = scalar(2, false)
/** `__u32`, aligned to 4. */
export const u32: Member<number> = scalar(4, false)
/** `__s32`: a file descriptor, a signed count. */
export const s32: Member<number> = scalar(4, true)
/** `__u64` and `__aligned_u64`. */
export const u64: Member<bigint> = {
  size: 8,
  align: 8,
  read: (words, at) => join(words[(at >>> 2) + 1] as number, words[at >>> 2] as number),
  write: (into, at, value) => into.setBigUint64(at, value, true),
}
/** `__s64`. */
export const s64: Member<bigint> = {
  ...u64,
  read: (words, at) => BigInt.asIntN(64, join(words[(at >>> 2) + 1] as number, words[at >>> 2] as number)),
}

/** A member whose bits have names: `flags(u32, { FIXED_IOVA: 1, WRITEABLE: 2 })`. */
export const flags = (member: Member<number>, names: Readonly<Record<string, number>>): Member<number> => ({
  ...member,
  names: { kind: 'flags', names },
})
/** A member that holds one of several named values: `choice(u32, { NONE: 0, INTEL_VTD: 1 })`. */
export const choice = (member: Member<number>, names: Readonly<Record<string, number>>): Member<number> => ({
  ...member,
  names: { kind: 'choice', names },
})

/** `__u8 name[n]`, as bytes. Shorter values leave the rest as it is. */
export const bytes = (n: number): Member<Uint8Array> => ({
  size: n,
  align: 1,
  read: (words, at) => Uint8Array.from({ length: n }, (_, i) => byteAt(words, at + i)),
  write: (into, at, value) => value.subarray(0, n).forEach((b, i) => into.setUint8(at + i, b)),
})

/** `type name[n]`. */
export const array = <T>(element: Member<T>, n: number): Member<readonly T[]> => ({
  size: element.size * n,
  align: element.align,
  read: (words, at, whole) => Array.from({ length: n }, (_, i) => element.read(words, at + i * element.size, whole)),
  write: (into, at, value) => value.slice(0, n).forEach((v, i) => element.write(into, at + i * element.size, v)),
})

/** `type name[]` at the end of a struct; `lengthField` holds the number of elements. Elements beyond the given bytes are left out. */
export const flexible = <T>(element: Member<T>, lengthField: string): Member<readonly T[]> => ({
  size: 0,
  align: element.align,
  flexible: { lengthField, elementSize: element.size },
  read: (words, at, whole) => {
    const fits = Math.floor((words.length * 4 - at) / element.size)
    const count = Math.min(Number(whole[lengthField]), Math.max(0, fits))
    return Array.from({ length: count }, (_, i) => element.read(words, at + i * element.size, whole))
  },
  write: (into, at, value) => value.forEach((v, i) => element.write(into, at + i * element.size, v)),
})

/** `__aligned_u64` that holds a user pointer. @param unit bytes of one unit of the length, e.g. 16 for an array of 16-byte structs */
export const userPointer = (lengthField: string, direction: UserPointer['direction'], unit = 1): Member<bigint> => ({
  ...u64,
  pointer: { lengthField, direction, unit },
})

type Members = Readonly<Record<string, Member<unknown>>>
/** The TypeScript type of a declared struct: `TypeOf<typeof IoasMap>`. */
export type TypeOf<S> = S extends Member<infer T> ? T : never
type StructOf<F> = { readonly [K in keyof F]: F[K] extends Member<infer T> ? T : never }

/** One field with its place. */
export interface StructField<Name extends string = string> {
  readonly name: Name
  readonly offset: number
  readonly size: number
  readonly member: Member<unknown>
}

/** A decoded struct, which also gives its words: for code that may not make a bigint. */
export interface Decoded {
  /** The int32 word at a byte offset, a multiple of 4. */
  word(offset: number): number
}

/** What those who only pass structs on (rows, strace, clients) need of a layout. */
export interface StructLayout<T> {
  readonly name: string
  readonly size: number
  readonly fields: readonly StructField[]
  decode(bytes: Uint8Array): T
  over(words: Words): T
  encode(values: Partial<T>, into: Uint8Array): void
  /** As `encode`, into a view that exists. @param at where the struct begins */
  write(into: DataView, at: number, value: T): void
}

/** A declared struct. It may be a member of another one. */
export interface CStruct<T> extends Member<T>, StructLayout<T> {
  readonly name: string
  /** Bytes, padding at the end included. */
  readonly size: number
  readonly fields: readonly StructField<keyof T & string>[]
  /** Byte offset of each member. */
  readonly at: Readonly<Record<keyof T & string, number>>
  /** Reads a struct. Bytes that are missing read as zero, as for an older program's shorter struct. */
  decode(bytes: Uint8Array): T & Decoded
  /** Reads a struct where its words are: what changes there is seen. @param words all of it, little-endian */
  over(words: Words): T & Decoded
  /** The same as an ordinary object, for printing and comparing; slower. */
  plain(bytes: Uint8Array): T
  /** Writes the members given; all other bytes stay. @throws RangeError when `into` is too short */
  encode(values: Partial<T>, into: Uint8Array): void
  /** Bytes of a new struct: zeros, then the members given. @param extra bytes of a flexible array */
  make(values: Partial<T>, extra?: number): Uint8Array
}

/**
 * Declares a struct: `struct('iommu_ioas_map', { size: u32, flags: u32, iova: u64 })`.
 * @param name the C name
 * @param members in order; a name may not be an integer
 * @throws RangeError for a flexible array that is not last
 */
export function struct<const F extends Members>(name: string, members: F): CStruct<StructOf<F>> {
  const { fields, size, align } = layOut(name, members)
  class Struct extends DecodedStruct {}
  for (const { name: key, offset, member } of fields) {
    Object.defineProperty(Struct.prototype, key, { get: getterOf(member, offset), enumerable: true })
  }
  const words = Math.ceil(size / 4)
  const open = fields.some((f) => f.member.flexible)
  type T = StructOf<F>
  const plainOf = (record: DecodedStruct): T => {
    const all = record as unknown as Readonly<{ [key: string]: unknown }>
    return Object.fromEntries(fields.map((f) => [f.name, all[f.name]])) as T
  }
  const decode = (from: Uint8Array): DecodedStruct =>
    new Struct(wordsOf(from, open ? Math.max(words, from.length >>> 2) : words), 0)
  const encode = (values: Partial<T>, into: Uint8Array): void => {
    write(new DataView(into.buffer, into.byteOffset, into.byteLength), 0, values)
  }
  const byName = new Map(fields.map((field) => [field.name, placeOf(field)]))
  // By the values that are given, which are few: answers carry one or two members.
  const write = (into: DataView, base: number, values: Readonly<{ [key: string]: unknown }>): void => {
    for (const key in values) {
      const value = values[key]
      const place = value === undefined ? undefined : byName.get(key)
      if (place === undefined) continue
      if (place.kind === 1 /* U32 */) into.setUint32(base + place.offset, value as number, true)
      else if (place.kind === 2 /* U64 */) into.setBigUint64(base + place.offset, value as bigint, true)
      else place.member.write(into, base + place.offset, value)
    }
  }
  return {
    name,
    size,
    align,
    fields,
    at: Object.fromEntries(fields.map((f) => [f.name, f.offset])) as CStruct<T>['at'],
    read: (from, at) => plainOf(new Struct(from, at)),
    write: (into, at, value) => write(into, at, value),
    decode: decode as unknown as CStruct<T>['decode'],
    over: (from) => new Struct(from, 0) as unknown as T & Decoded,
    plain: (from) => plainOf(decode(from)),
    encode,
    make: (values, extra = 0) => {
      const made = new Uint8Array(size + extra)
      encode(values, made)
      return made
    },
  }
}

/** What a decoded struct is made of; each declaration adds its getters in a subclass. */
class DecodedStruct implements Decoded {
  // Named as no C member is. Declared only: a field that is defined before it is assigned costs more than the whole decode.
  declare readonly $words: Words
  declare readonly $base: number
  constructor(w: Words, base: number) {
    this.$words = w
    this.$base = base
  }
  word(offset: number): number {
    return this.$words[(this.$base + offset) >>> 2] as number
  }
}

/** Where a member is written; the common ones without a call that could go anywhere. */
interface Place {
  readonly kind: number
  readonly offset: number
  readonly member: Member<unknown>
}
const U32 = 1
const U64 = 2
const placeOf = ({ member, offset }: StructField): Place => ({
  kind: member.write === u32.write ? U32 : member.write === u64.write ? U64 : 0,
  offset,
  member,
})

/** Getters of the common members are made directly: they are read for every call. */
function getterOf(member: Member<unknown>, offset: number): (this: DecodedStruct) => unknown {
  const index = offset >>> 2
  if (member.read === u32.read) {
    return function () {
      return (this.$words[(this.$base >>> 2) + index] as number) >>> 0
    }
  }
  if (member.read === u64.read) {
    return function () {
      const at = (this.$base >>> 2) + index
      return join(this.$words[at + 1] as number, this.$words[at] as number)
    }
  }
  return function () {
    return member.read(this.$words, this.$base + offset, this as unknown as Whole)
  }
}

/** The first `count` little-endian words; bytes beyond the end are zero. */
function wordsOf(from: Uint8Array, count: number): Words {
  if (from.length < count * 4) return wordsOf(padded(from, count * 4), count)
  if (count === 10) return tenWords(from)
  const words: number[] = []
  for (let at = 0; at < count * 4; at += 4) words.push(wordAt(from, at))
  return words
}
/** As many as IOMMU_IOAS_MAP passes: a literal takes half the time of an array that grows. */
function tenWords(b: Uint8Array): Words {
  const w = wordAt
  return [w(b, 0), w(b, 4), w(b, 8), w(b, 12), w(b, 16), w(b, 20), w(b, 24), w(b, 28), w(b, 32), w(b, 36)]
}
const wordAt = (b: Uint8Array, at: number): number =>
  (b[at] as number) | ((b[at + 1] as number) << 8) | ((b[at + 2] as number) << 16) | ((b[at + 3] as number) << 24)
function padded(from: Uint8Array, size: number): Uint8Array {
  const whole = new Uint8Array(size)
  whole.set(from)
  return whole
}

function layOut(
  name: string,
  members: Members,
): { readonly fields: readonly StructField[]; readonly size: number; readonly align: number } {
  const fields: StructField[] = []
  let offset = 0
  let align = 1
  for (const [key, member] of Object.entries(members)) {
    if (fields.at(-1)?.member.flexible) throw new RangeError(`struct ${name}: ${key} follows a flexible array`)
    offset = Math.ceil(offset / member.align) * member.align
    fields.push({ name: key, offset, size: member.size, member })
    offset += member.size
    align = Math.max(align, member.align)
  }
  return { fields, size: Math.ceil(offset / align) * align, align }
}

/**
 * How VFIO's info structs chain capabilities behind themselves: each begins with `{ u16 id, u16 version, u32 next }`, where
 * `next` counts from the start of the info struct (include/uapi/linux/vfio.h struct vfio_info_cap_header).
 */
export const CAPABILITY_HEADER: CStruct<{ readonly id: number; readonly version: number; readonly next: number }> =
  struct('vfio_info_cap_header', { id: u16, version: u16, next: u32 })

/** One capability of a chain. */
export interface InfoCapability {
  readonly id: number
  readonly version: number
  /** What follows the header, up to the next capability by address or the end. */
  readonly body: Uint8Array
}

/** Reads a chain. @param offset of the first capability, 0 for none. @throws RangeError for a chain that leaves the bytes or goes in a ring */
export function readCapabilities(info: Uint8Array, offset: number): readonly InfoCapability[] {
  const found: { readonly at: number; readonly id: number; readonly version: number }[] = []
  for (let at = offset; at !== 0;) {
    if (at + 8 > info.length || found.length > info.length / 8)
      throw new RangeError(`capability chain: bad offset ${at}`)
    const { id, version, next } = CAPABILITY_HEADER.decode(info.subarray(at, at + 8))
    found.push({ at, id, version })
    at = next
  }
  const starts = found.map((c) => c.at).toSorted((a, b) => a - b)
  const endOf = (at: number): number => starts.find((s) => s > at) ?? info.length
  return found.map(({ at, id, version }) => ({ id, version, body: info.slice(at + 8, endOf(at)) }))
}

/**
 * Appends a chain to an info struct, each capability on a multiple of 8 bytes (vfio_info_cap_add aligns so).
 * @param info the struct's bytes
 * @returns the bytes of struct and chain, and the offset of the first capability, 0 for none
 */
export function appendCapabilities(
  info: Uint8Array,
  capabilities: readonly InfoCapability[],
): { readonly bytes: Uint8Array; readonly offset: number } {
  const start = Math.ceil(info.length / 8) * 8
  const sizes = capabilities.map((c) => Math.ceil((c.body.length + 8) / 8) * 8)
  const all = new Uint8Array(capabilities.length === 0 ? info.length : start + sizes.reduce((a, b) => a + b, 0))
  all.set(info)
  let at = start
  capabilities.forEach(({ id, version, body }, i) => {
    const next = i + 1 < capabilities.length ? at + (sizes[i] as number) : 0
    CAPABILITY_HEADER.encode({ id, version, next }, all.subarray(at))
    all.set(body, at + 8)
    at += sizes[i] as number
  })
  return { bytes: all, offset: capabilities.length === 0 ? 0 : start }
}
