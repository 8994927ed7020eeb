import { describe, expect, test } from 'vitest'
import { buildIvrs } from './build-ivrs.ts'
import { parseIvrs } from './parse-ivrs.ts'

/** QEMU 11.1.3, `-device amd-iommu` on q35 with root ports, a PCIe-to-PCI bridge and a switch; read from a booted Linux. */
const QEMU =
  '495652535801000001e7424f43485320425850432020202001000000425850430100000001280000000000000000000010d18c00580040000000d8fe00000000000000004400000002000000020800000210000002110000021800000300010004ff0100022000000300020004ff02000228000002000300430004000000040004ff0400023000000300050004ff0500023800000300060004ff060002400000024800000258000002f8000002fa000002fb00004800000000a0000111119c00580040000000d8fe000000000000000000000000d329000000000000000000000000000002000000020800000210000002110000021800000300010004ff0100022000000300020004ff02000228000002000300430004000000040004ff0400023000000300050004ff0500023800000300060004ff060002400000024800000258000002f8000002fa000002fb00004800000000a00001'
const bytesOf = (hex: string): Uint8Array =>
  Uint8Array.from({ length: hex.length / 2 }, (_, i) => parseInt(hex.slice(2 * i, 2 * i + 2), 16))

describe("a recorded machine's table", () => {
  const table = parseIvrs(bytesOf(QEMU))
  test('has one unit twice: without and with its feature registers', () => {
    expect(
      table.units.map(({ type, flags, bdf, capabilityOffset, registers, efr }) => ({
        type,
        flags,
        bdf,
        capabilityOffset,
        registers,
        efr,
      })),
    ).toEqual([
      { type: 0x10, flags: 0xd1, bdf: 0x58, capabilityOffset: 0x40, registers: 0xfed8_0000, efr: undefined },
      { type: 0x11, flags: 0x11, bdf: 0x58, capabilityOffset: 0x40, registers: 0xfed8_0000, efr: 0x29d3n },
    ])
    expect(table.info).toBe(0x2801)
  })
  test('names functions, buses behind ports, an alias behind the bridge, and the I/O APIC', () => {
    const devices = table.units[0]?.devices ?? []
    expect(devices[0]).toEqual({ kind: 'select', bdf: 0, settings: 0 })
    expect(devices.filter((d) => d.kind === 'alias-range')).toEqual([
      { kind: 'alias-range', first: 0x400, last: 0x4ff, alias: 0x400, settings: 0 },
    ])
    expect(devices.filter((d) => d.kind === 'range').length).toBe(4)
    expect(devices.at(-1)).toEqual({ kind: 'special', variety: 'ioapic', handle: 0, bdf: 0xa0, settings: 0 })
  })
  test('is what the builder makes of it again', () => {
    const again = buildIvrs(table, { id: 'BOCHS ', tableId: 'BXPC    ', creator: 'BXPC' })
    expect(again).toEqual(bytesOf(QEMU))
  })
})
test('unity and exclusion ranges, extended and ACPI entries survive the round', () => {
  const table = {
    info: 0,
    units: [
      {
        type: 0x40 as const,
        flags: 0,
        bdf: 2,
        capabilityOffset: 0x40,
        registers: 0xfd20_0000,
        segment: 1,
        info: 0,
        features: 1,
        efr: 0x246577efa2254afan,
        efr2: 0x10n,
        devices: [
          { kind: 'all' as const, settings: 0xd7 },
          { kind: 'extended' as const, first: 0x100, last: 0x100, extended: 0x8000_0000, settings: 0 },
          { kind: 'extended' as const, first: 0x100, last: 0x1ff, extended: 0, settings: 0 },
          { kind: 'alias' as const, bdf: 0x238, alias: 0x200, settings: 0 },
          { kind: 'acpi' as const, hid: 'AMDI0020', bdf: 0xa5, settings: 0x40 },
        ],
      },
    ],
    memory: [
      {
        scope: 'all' as const,
        segment: 0,
        first: 0x1000,
        size: 0x2000,
        unity: true,
        read: true,
        write: false,
        exclusion: false,
      },
      {
        scope: { first: 8, last: 8 },
        segment: 0,
        first: 0x1000,
        size: 0x1000,
        unity: true,
        read: true,
        write: true,
        exclusion: false,
      },
      {
        scope: { first: 8, last: 16 },
        segment: 0,
        first: 0x1000,
        size: 0x1000,
        unity: false,
        read: false,
        write: false,
        exclusion: true,
      },
    ],
  }
  expect(parseIvrs(buildIvrs(table))).toEqual(table)
})
test('a damaged table is refused', () => {
  const bytes = bytesOf(QEMU)
  bytes[60] = 1
  expect(() => parseIvrs(bytes)).toThrow('checksum')
  expect(() => parseIvrs(bytes.subarray(0, 100))).toThrow('344 bytes')
})
