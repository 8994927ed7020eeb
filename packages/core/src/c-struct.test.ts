import fc from 'fast-check'
import { describe, expect, expectTypeOf, test } from 'vitest'
import {
  appendCapabilities,
  array,
  bytes,
  choice,
  flags,
  flexible,
  readCapabilities,
  s32,
  s64,
  struct,
  type TypeOf,
  u16,
  u32,
  u64,
  u8,
  userPointer,
} from './c-struct.ts'
import type { StructLayout } from './c-struct.ts'

// The words of include/uapi/linux/iommufd.h and vfio.h, so that offsets can be checked against a C compiler's.
const IoasMap = struct('iommu_ioas_map', {
  size: u32,
  flags: u32,
  ioas_id: u32,
  reserved: u32,
  user_va: u64,
  length: u64,
  iova: u64,
})
const Ranges = struct('iommu_ioas_iova_ranges', {
  size: u32,
  ioas_id: u32,
  num_iovas: u32,
  reserved: u32,
  allowed_iovas: userPointer('num_iovas', 'out', 16),
  out_iova_alignment: u64,
})
const IrqSet = struct('vfio_irq_set', {
  argsz: u32,
  flags: u32,
  index: u32,
  start: u32,
  count: u32,
  data: flexible(s32, 'count'),
})

describe('layout', () => {
  test('follows the C ABI: offsets, padding between and at the end', () => {
    const odd = struct('odd', { a: u8, b: u32, c: u16, d: u64, e: u8 })
    expect(odd.at).toEqual({ a: 0, b: 4, c: 8, d: 16, e: 24 })
    expect([odd.size, odd.align]).toEqual([32, 8])
    expect(IoasMap.at).toEqual({ size: 0, flags: 4, ioas_id: 8, reserved: 12, user_va: 16, length: 24, iova: 32 })
    expect(IoasMap.size).toBe(40)
  })
  test('of arrays and structs inside structs', () => {
    const inner = struct('inner', { a: u16, b: u64 })
    const outer = struct('outer', { x: u8, in1: inner, list: array(inner, 2), raw: bytes(3), tail: u16 })
    expect(outer.at).toEqual({ x: 0, in1: 8, list: 24, raw: 56, tail: 60 })
    expect(outer.size).toBe(64)
  })
  test('of a flexible array: it has a place and no size', () => {
    expect([IrqSet.size, IrqSet.at.data]).toEqual([20, 20])
    expect(IrqSet.fields.at(-1)?.member.flexible).toEqual({ lengthField: 'count', elementSize: 4 })
    expect(() => struct('bad', { list: flexible(u8, 'n'), n: u8 })).toThrow(/n follows a flexible array/)
  })
  test('tells of user pointers', () => {
    expect(Ranges.fields.find((f) => f.name === 'allowed_iovas')?.member.pointer).toEqual({
      lengthField: 'num_iovas',
      direction: 'out',
      unit: 16,
    })
  })
  test('is what an ioctl row asks for', () => {
    const layout: StructLayout<TypeOf<typeof IoasMap>> = IoasMap
    expect(layout.fields[4]).toMatchObject({ name: 'user_va', offset: 16, size: 8 })
  })
})

describe('decode', () => {
  const raw = Uint8Array.from({ length: 40 }, (_, i) => i + 0xd0)

  test('reads every width, little-endian, unsigned', () => {
    const map = IoasMap.decode(raw)
    expect([map.size, map.flags, map.user_va]).toEqual([0xd3d2_d1d0, 0xd7d6_d5d4, 0xe7e6_e5e4_e3e2_e1e0n])
    expect([map.word(IoasMap.at.user_va), map.word(IoasMap.at.user_va + 4)]).toEqual([0xe3e2_e1e0 | 0, 0xe7e6_e5e4 | 0])
    const small = struct('small', { a: u8, b: u8, c: u16, d: s32, e: s64 })
    const ones = small.decode(new Uint8Array(16).fill(0xff))
    expect([ones.a, ones.b, ones.c, ones.d, ones.e]).toEqual([0xff, 0xff, 0xffff, -1, -1n])
  })
  test('keeps what it read when the bytes change', () => {
    const changing = raw.slice()
    const map = IoasMap.decode(changing)
    changing.fill(0)
    expect(map.size).toBe(0xd3d2_d1d0)
  })
  test('reads a struct where it lies, and then sees what changes', () => {
    const words = [40, 6, 1, 0, 0x1000, 2, -1, -1, 0, 0]
    const map = IoasMap.over(words)
    expect([map.size, map.flags, map.user_va, map.length, map.word(8)]).toEqual([
      40,
      6,
      0x2_0000_1000n,
      2n ** 64n - 1n,
      1,
    ])
    words[1] = 7
    expect(map.flags).toBe(7)
  })
  test('reads missing bytes as zero', () => {
    const map = IoasMap.decode(raw.subarray(0, 18))
    expect([map.reserved, map.user_va, map.iova]).toEqual([0xdfde_dddc, 0xe1e0n, 0n])
  })
  test('reads as many elements of a flexible array as there are bytes', () => {
    const all = IrqSet.make({ count: 3, data: [1, -1, 7] }, 12)
    expect(IrqSet.decode(all).data).toEqual([1, -1, 7])
    expect(IrqSet.decode(all.subarray(0, 28)).data).toEqual([1, -1])
    expect(IrqSet.decode(all.subarray(0, 20)).data).toEqual([])
  })
  test('gives plain objects on request, nested ones too', () => {
    const inner = struct('inner', { a: u16, b: u64 })
    const outer = struct('outer', { in1: inner, list: array(u8, 2), raw: bytes(2) })
    const values = { in1: { a: 1, b: 2n }, list: [3, 4], raw: Uint8Array.of(5, 6) }
    expect(outer.plain(outer.make(values))).toEqual(values)
  })
  test('has the declared types', () => {
    expectTypeOf<TypeOf<typeof IoasMap>['iova']>().toEqualTypeOf<bigint>()
    expectTypeOf<TypeOf<typeof IrqSet>['data']>().toEqualTypeOf<readonly number[]>()
    expectTypeOf(IoasMap.decode(raw).flags).toEqualTypeOf<number>()
  })
})

describe('encode', () => {
  test('writes the members given and leaves the rest', () => {
    const into = new Uint8Array(40).fill(0xee)
    IoasMap.encode({ flags: 7, iova: 1n }, into)
    expect([...into.subarray(0, 10)]).toEqual([0xee, 0xee, 0xee, 0xee, 7, 0, 0, 0, 0xee, 0xee])
    expect([...into.subarray(32)]).toEqual([1, 0, 0, 0, 0, 0, 0, 0])
  })
  test('into too few bytes is refused', () => {
    expect(() => IoasMap.encode({ iova: 1n }, new Uint8Array(32))).toThrow(RangeError)
  })
})

test('what was encoded is decoded, for any values', () => {
  const all = struct('all', { a: u8, b: s32, c: u16, d: u64, e: s64, f: u32, g: array(u16, 3), h: bytes(5) })
  const values = fc.record({
    a: fc.integer({ min: 0, max: 0xff }),
    b: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
    c: fc.integer({ min: 0, max: 0xffff }),
    d: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
    e: fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n }),
    f: fc.integer({ min: 0, max: 0xffff_ffff }),
    g: fc.array(fc.integer({ min: 0, max: 0xffff }), { minLength: 3, maxLength: 3 }),
    h: fc.uint8Array({ minLength: 5, maxLength: 5 }),
  })
  fc.assert(
    fc.property(values, (given) => {
      expect(all.plain(all.make(given))).toEqual(given)
    }),
  )
})

describe('names of values', () => {
  test('go with the member, which reads and writes as before', () => {
    const S = struct('s', { flags: flags(u32, { FIXED: 1 }), state: choice(u16, { STOP: 1 }) })
    expect(S.plain(S.make({ flags: 0x8000_0001, state: 1 }))).toEqual({ flags: 0x8000_0001, state: 1 })
    expect(S.fields.map((f) => f.member.names)).toEqual([
      { kind: 'flags', names: { FIXED: 1 } },
      { kind: 'choice', names: { STOP: 1 } },
    ])
  })
})

describe('a capability chain', () => {
  const caps = [
    { id: 1, version: 2, body: Uint8Array.of(1, 2, 3) },
    { id: 3, version: 1, body: new Uint8Array(8).fill(9) },
  ]
  test('is appended on multiples of 8 and read back with its padding', () => {
    const { bytes: all, offset } = appendCapabilities(new Uint8Array(20), caps)
    expect([offset, all.length]).toEqual([24, 24 + 16 + 16])
    expect(readCapabilities(all, offset)).toEqual([
      { id: 1, version: 2, body: Uint8Array.of(1, 2, 3, 0, 0, 0, 0, 0) },
      { id: 3, version: 1, body: new Uint8Array(8).fill(9) },
    ])
  })
  test('may be empty', () => {
    const { bytes: all, offset } = appendCapabilities(new Uint8Array(20), [])
    expect([all.length, offset, readCapabilities(all, 0)]).toEqual([20, 0, []])
  })
  test('that leaves the bytes or goes in a ring is refused', () => {
    const { bytes: all, offset } = appendCapabilities(new Uint8Array(8), caps)
    expect(() => readCapabilities(all, all.length - 4)).toThrow(RangeError)
    new DataView(all.buffer).setUint32(offset + 16 + 4, offset, true)
    expect(() => readCapabilities(all, offset)).toThrow(RangeError)
  })
})
