import { describe, expect, test } from 'vitest'
import { parseDmar } from './dmar-table.ts'

const fromHex = (text: string): Uint8Array => Uint8Array.from(text.match(/../g) as string[], (b) => parseInt(b, 16))

/** The table of a QEMU q35 machine with one unit, as its firmware gave it. */
const Q35 =
  '444d4152b8000000010a424f4348532042585043202020200100000042585043010000002f010000000000000000000000008800' +
  '000000000000d9fe000000000308000000ff00000108000000000000010800000000010001080000000002000108000000000201' +
  '02080000000003000208000000000400020800000000050002080000000006000208000000000700010800000000080001080000' +
  '000009000108000000001f000108000000001f020108000000001f03'

/** A table by hand: header, then the structures; the checksum is filled in. */
function table(flags: number, ...structures: readonly (readonly number[])[]): Uint8Array {
  const body = structures.flat()
  const bytes = new Uint8Array(48 + body.length)
  bytes.set([0x44, 0x4d, 0x41, 0x52, bytes.length & 0xff, bytes.length >> 8])
  bytes[36] = 38
  bytes[37] = flags
  bytes.set(body, 48)
  bytes[9] = -bytes.reduce((sum, b) => sum + b, 0)
  return bytes
}
const u64 = (value: number): number[] => Array.from({ length: 8 }, (_, i) => Math.floor(value / 2 ** (8 * i)) & 0xff)

describe('a recorded table', () => {
  const dmar = parseDmar(fromHex(Q35))

  test('has one unit at 0xfed90000 and a 48-bit host address', () => {
    expect(dmar.hostAddressWidth).toBe(48)
    expect(dmar.interruptRemapping).toBe(true)
    expect(dmar.units).toHaveLength(1)
    expect(dmar.units[0]).toMatchObject({ registers: 0xfed9_0000, bytes: 4096, segment: 0, includeAll: false })
    expect(dmar.reserved).toEqual([])
  })
  test('names endpoints and bridges on bus 0, and the I/O APIC at ff:00.0', () => {
    const scope = dmar.units[0]?.scope ?? []
    expect(scope).toHaveLength(14)
    expect(scope[3]).toEqual({ kind: 'endpoint', bus: 0, path: [{ device: 2, function: 1 }] })
    expect(scope.filter((s) => s.kind === 'bridge').map((s) => s.path[0]?.device)).toEqual([3, 4, 5, 6, 7])
    expect(dmar.units[0]?.interruptSources).toEqual([
      { kind: 'ioapic', id: 0, bus: 0xff, path: [{ device: 0, function: 0 }] },
    ])
  })
})

test('reads a path through bridges, reserved memory and an include-all unit of another segment', () => {
  const dmar = parseDmar(
    table(
      0,
      [0, 0, 16, 0, 1, 0, 1, 0, ...u64(0x1_fed9_1000)],
      [1, 0, 34, 0, 0, 0, 0, 0, ...u64(0x7b80_0000), ...u64(0x7b8f_ffff), 1, 10, 0, 0, 0, 0x40, 0x1c, 4, 0, 2],
    ),
  )
  expect(dmar.interruptRemapping).toBe(false)
  expect(dmar.hostAddressWidth).toBe(39)
  expect(dmar.units[0]).toMatchObject({ registers: 0x1_fed9_1000, segment: 1, includeAll: true, scope: [] })
  expect(dmar.reserved[0]).toEqual({
    segment: 0,
    first: 0x7b80_0000,
    last: 0x7b8f_ffff,
    scope: [
      {
        kind: 'endpoint',
        bus: 0x40,
        path: [
          { device: 0x1c, function: 4 },
          { device: 0, function: 2 },
        ],
      },
    ],
  })
})

test('skips structures it does not know, keeps those after them', () => {
  const dmar = parseDmar(table(1, [9, 0, 6, 0, 1, 2], [2, 0, 8, 0, 1, 0, 0, 0]))
  expect(dmar.rootAts).toEqual([{ segment: 0, allPorts: true, scope: [] }])
})

describe('a broken table is refused', () => {
  test('another signature', () => {
    expect(() => parseDmar(new Uint8Array(64))).toThrow('not a DMAR table')
  })
  test('cut short', () => {
    expect(() => parseDmar(fromHex(Q35).subarray(0, 100))).toThrow('184 bytes, 100 are there')
  })
  test('a wrong checksum', () => {
    const bytes = fromHex(Q35)
    bytes[40] = 1
    expect(() => parseDmar(bytes)).toThrow('checksum')
  })
  test('a structure that overruns the table', () => {
    expect(() => parseDmar(table(0, [0, 0, 20, 0, 1, 0, 0, 0, ...u64(0)]))).toThrow('structure at 48')
    expect(() => parseDmar(table(0, [0, 0, 0, 0]))).toThrow('structure at 48')
  })
  test('a device scope that overruns its structure', () => {
    expect(() => parseDmar(table(0, [2, 0, 14, 0, 0, 0, 0, 0, 1, 8, 0, 0, 0, 0]))).toThrow('device scope at 56')
  })
})
