/** Writes the table of units that firmware of a composed host would hand to its kernel. */
import type { Bdf } from '@ioasis/core'
import {
  ENTRY,
  IVHD_BYTES,
  type IvhdBlock,
  type IvhdDevice,
  IVMD,
  type IvmdBlock,
  IVRS_HEADER,
  type IvrsTable,
} from './ivrs-table.ts'

/** What the header says of the firmware. */
export interface IvrsOem {
  /** 6, 8 and 4 characters; shorter ones are padded with spaces. */
  readonly id?: string
  readonly tableId?: string
  readonly creator?: string
}

/** Builds the table that `parseIvrs` reads: what firmware of a composed host would hand to its kernel. */
export function buildIvrs(
  table: IvrsTable,
  { id = 'IOASIS', tableId = 'IOASIS', creator = 'IOAS' }: IvrsOem = {},
): Uint8Array {
  const body = [...table.units.flatMap(unitBytes), ...table.memory.flatMap(memoryBytes)]
  const bytes = Uint8Array.from([
    ...text('IVRS', 4),
    ...little(IVRS_HEADER + body.length, 4),
    1,
    0,
    ...text(id, 6),
    ...text(tableId, 8),
    ...little(1, 4),
    ...text(creator, 4),
    ...little(1, 4),
    ...little(table.info, 4),
    ...little(0, 8),
    ...body,
  ])
  bytes[9] = -bytes.reduce((sum, b) => sum + b, 0) & 0xff
  return bytes
}

const text = (value: string, length: number): number[] =>
  Array.from(value.padEnd(length).slice(0, length), (c) => c.charCodeAt(0))
const little = (value: number | bigint, length: number): number[] =>
  Array.from({ length }, (_, i) => Number((BigInt(value) >> BigInt(i * 8)) & 0xffn))

function unitBytes(unit: IvhdBlock): number[] {
  const devices = unit.devices.flatMap(entryBytes)
  const wide = unit.type === 0x10 ? [] : [...little(unit.efr ?? 0n, 8), ...little(unit.efr2 ?? 0n, 8)]
  return [
    unit.type,
    unit.flags,
    ...little(IVHD_BYTES[unit.type] + devices.length, 2),
    ...little(unit.bdf, 2),
    ...little(unit.capabilityOffset, 2),
    ...little(unit.registers, 8),
    ...little(unit.segment, 2),
    ...little(unit.info, 2),
    ...little(unit.features, 4),
    ...wide,
    ...devices,
  ]
}

function entryBytes(device: IvhdDevice): number[] {
  const short = (type: number, bdf: Bdf, settings = device.settings): number[] => [type, ...little(bdf, 2), settings]
  switch (device.kind) {
    case 'all':
      return short(ENTRY.ALL, 0)
    case 'select':
      return short(ENTRY.SELECT, device.bdf)
    case 'range':
      return [...short(ENTRY.START, device.first), ...short(ENTRY.END, device.last, 0)]
    case 'alias':
      return [...short(ENTRY.ALIAS, device.bdf), 0, ...little(device.alias, 2), 0]
    case 'alias-range':
      return [
        ...short(ENTRY.ALIAS_START, device.first),
        0,
        ...little(device.alias, 2),
        0,
        ...short(ENTRY.END, device.last, 0),
      ]
    case 'extended':
      return device.first === device.last
        ? [...short(ENTRY.EXTENDED, device.first), ...little(device.extended, 4)]
        : [
            ...short(ENTRY.EXTENDED_START, device.first),
            ...little(device.extended, 4),
            ...short(ENTRY.END, device.last, 0),
          ]
    case 'special':
      return [...short(ENTRY.SPECIAL, 0), device.handle, ...little(device.bdf, 2), device.variety === 'hpet' ? 2 : 1]
    case 'acpi':
      break
  }
  return [...short(ENTRY.ACPI, device.bdf), ...text(device.hid.padEnd(8, '\0'), 8), ...little(0, 10)]
}

function memoryBytes(block: IvmdBlock): number[] {
  const { scope } = block
  const type = scope === 'all' ? IVMD.ALL : scope.first === scope.last ? IVMD.SELECT : IVMD.RANGE
  const [first, last] = scope === 'all' ? [0, 0] : [scope.first, type === IVMD.RANGE ? scope.last : 0]
  const flags =
    Number(block.unity) | (Number(block.read) << 1) | (Number(block.write) << 2) | (Number(block.exclusion) << 3)
  return [
    type,
    flags,
    ...little(32, 2),
    ...little(first, 2),
    ...little(last, 2),
    ...little(block.segment, 2),
    ...little(0, 6),
    ...little(block.first, 8),
    ...little(block.size, 8),
  ]
}
