/**
 * The ACPI table by which firmware tells where the units are: 48882 "I/O Virtualization ACPI Table"; Linux reads it in
 * drivers/iommu/amd/init.c. Blocks of unknown type are left out, as Linux does.
 */
import type { Bdf, Hpa } from '@ioasis/core'

/** Settings that a device entry gives for the DTE of the functions it names: "DTE Setting Field". */
export const DTE_SETTING = {
  InitPass: 0x01,
  EIntPass: 0x02,
  NMIPass: 0x04,
  SysMgt: 0x30,
  Lint0Pass: 0x40,
  Lint1Pass: 0x80,
} as const

/** A device entry of a unit: which functions, under which requester id, with which settings. */
export type IvhdDevice =
  | { readonly kind: 'all'; readonly settings: number }
  | { readonly kind: 'select'; readonly bdf: Bdf; readonly settings: number }
  | { readonly kind: 'range'; readonly first: Bdf; readonly last: Bdf; readonly settings: number }
  | { readonly kind: 'alias'; readonly bdf: Bdf; readonly alias: Bdf; readonly settings: number }
  | {
      readonly kind: 'alias-range'
      readonly first: Bdf
      readonly last: Bdf
      readonly alias: Bdf
      readonly settings: number
    }
  | {
      readonly kind: 'extended'
      readonly first: Bdf
      /** Same as `first` for a single function. */
      readonly last: Bdf
      /** Extended DTE setting: bit 31 disables ATS. */
      readonly extended: number
      readonly settings: number
    }
  | {
      readonly kind: 'special'
      readonly variety: 'ioapic' | 'hpet'
      readonly handle: number
      readonly bdf: Bdf
      readonly settings: number
    }
  | { readonly kind: 'acpi'; readonly hid: string; readonly bdf: Bdf; readonly settings: number }

/** A unit: "I/O Virtualization Hardware Definition Block". One unit may have a block of each type. */
export interface IvhdBlock {
  /** 0x10, or 0x11 and 0x40 with the feature registers. Type 0x40 alone may name ACPI devices. */
  readonly type: 0x10 | 0x11 | 0x40
  /** Bit 0 HtTunEn, 1 PassPW, 2 ResPassPW, 3 Isoc, 4 IotlbSup, 5 Coherent, 6 PreFSup, 7 PPRSup. */
  readonly flags: number
  /** The IOMMU's own function, and the offset of its capability block. */
  readonly bdf: Bdf
  readonly capabilityOffset: number
  readonly registers: Hpa
  readonly segment: number
  /** MSI number in bits 4:0, unit id in 12:8. */
  readonly info: number
  /** Type 0x10: feature reporting; else attributes. */
  readonly features: number
  /** The extended feature registers as firmware saw them; types 0x11 and 0x40. */
  readonly efr?: bigint
  readonly efr2?: bigint
  readonly devices: readonly IvhdDevice[]
}

/** Memory that devices keep using: "I/O Virtualization Memory Definition Block". */
export interface IvmdBlock {
  readonly scope: 'all' | { readonly first: Bdf; readonly last: Bdf }
  readonly segment: number
  readonly first: Hpa
  /** Bytes. */
  readonly size: number
  /** Unity: mapped one to one with these permissions; exclusion: left out of translation. */
  readonly unity: boolean
  readonly read: boolean
  readonly write: boolean
  readonly exclusion: boolean
}

/** A parsed table. */
export interface IvrsTable {
  /** "IVinfo": bit 0 EFRSup, 1 DMA remapping before boot, 7:5 GVASize, 14:8 PASize, 21:15 VASize, 22 HtAtsResv. */
  readonly info: number
  readonly units: readonly IvhdBlock[]
  readonly memory: readonly IvmdBlock[]
}

const HEADER = 48
const IVHD_BYTES = { 0x10: 24, 0x11: 40, 0x40: 40 } as const
const ENTRY = {
  ALL: 1,
  SELECT: 2,
  START: 3,
  END: 4,
  ALIAS: 0x42,
  ALIAS_START: 0x43,
  EXTENDED: 0x46,
  EXTENDED_START: 0x47,
  SPECIAL: 0x48,
  ACPI: 0xf0,
} as const
const IVMD = { ALL: 0x20, SELECT: 0x21, RANGE: 0x22 } as const

const dataView = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/**
 * Parses a whole IVRS table, header included.
 * @throws RangeError when it is not an IVRS table, is cut short, its checksum is wrong or a block overruns it
 */
export function parseIvrs(bytes: Uint8Array): IvrsTable {
  const view = dataView(bytes)
  if (bytes.length < HEADER || String.fromCharCode(...bytes.subarray(0, 4)) !== 'IVRS')
    throw new RangeError('IVRS: not an IVRS table')
  const length = view.getUint32(4, true)
  if (length > bytes.length) throw new RangeError(`IVRS: the header says ${length} bytes, ${bytes.length} are there`)
  if ((bytes.subarray(0, length).reduce((sum, b) => sum + b, 0) & 0xff) !== 0)
    throw new RangeError('IVRS: wrong checksum')
  const units: IvhdBlock[] = []
  const memory: IvmdBlock[] = []
  for (let at = HEADER; at + 4 <= length;) {
    const type = view.getUint8(at)
    const end = at + view.getUint16(at + 2, true)
    if (end < at + 4 || end > length) throw new RangeError(`IVRS: block at ${at} ends at ${end} of ${length}`)
    if (type === 0x10 || type === 0x11 || type === 0x40) units.push(unitBlock(view, type, at, end))
    else if (type === IVMD.ALL || type === IVMD.SELECT || type === IVMD.RANGE) memory.push(memoryBlock(view, type, at))
    at = end
  }
  return { info: view.getUint32(36, true), units, memory }
}

function unitBlock(view: DataView, type: IvhdBlock['type'], at: number, end: number): IvhdBlock {
  const wide = type !== 0x10
  return {
    type,
    flags: view.getUint8(at + 1),
    bdf: view.getUint16(at + 4, true),
    capabilityOffset: view.getUint16(at + 6, true),
    registers: Number(view.getBigUint64(at + 8, true)),
    segment: view.getUint16(at + 16, true),
    info: view.getUint16(at + 18, true),
    features: view.getUint32(at + 20, true),
    ...(wide ? { efr: view.getBigUint64(at + 24, true), efr2: view.getBigUint64(at + 32, true) } : {}),
    devices: deviceEntries(view, at + IVHD_BYTES[type], end),
  }
}

/** Length of a device entry by its type, drivers/iommu/amd/init.c ivhd_entry_length. */
function entryLength(view: DataView, at: number): number {
  const type = view.getUint8(at)
  return type === ENTRY.ACPI ? 22 + view.getUint8(at + 21) : 4 << (type >> 6)
}

function deviceEntries(view: DataView, start: number, end: number): IvhdDevice[] {
  const out: IvhdDevice[] = []
  /** The start entry that waits for its end. */
  let open: ((last: Bdf) => IvhdDevice) | undefined
  for (let at = start; at + 4 <= end; at += entryLength(view, at)) {
    const type = view.getUint8(at)
    const bdf = view.getUint16(at + 1, true)
    const settings = view.getUint8(at + 3)
    if (at + entryLength(view, at) > end) throw new RangeError(`IVRS: device entry at ${at} overruns its block`)
    if (type === ENTRY.ALL) out.push({ kind: 'all', settings })
    else if (type === ENTRY.SELECT) out.push({ kind: 'select', bdf, settings })
    else if (type === ENTRY.START) open = (last) => ({ kind: 'range', first: bdf, last, settings })
    else if (type === ENTRY.END) {
      if (open) out.push(open(bdf))
      open = undefined
    } else if (type === ENTRY.ALIAS) out.push({ kind: 'alias', bdf, alias: view.getUint16(at + 5, true), settings })
    else if (type === ENTRY.ALIAS_START) {
      const alias = view.getUint16(at + 5, true)
      open = (last) => ({ kind: 'alias-range', first: bdf, last, alias, settings })
    } else if (type === ENTRY.EXTENDED || type === ENTRY.EXTENDED_START) {
      const extended = view.getUint32(at + 4, true)
      const make = (last: Bdf): IvhdDevice => ({ kind: 'extended', first: bdf, last, extended, settings })
      if (type === ENTRY.EXTENDED) out.push(make(bdf))
      else open = make
    } else if (type === ENTRY.SPECIAL) {
      const variety = view.getUint8(at + 7) === 2 ? 'hpet' : 'ioapic'
      const handle = view.getUint8(at + 4)
      out.push({ kind: 'special', variety, handle, bdf: view.getUint16(at + 5, true), settings })
    } else if (type === ENTRY.ACPI) {
      const text = Array.from({ length: 8 }, (_, i) => String.fromCharCode(view.getUint8(at + 4 + i))).join('')
      out.push({ kind: 'acpi', hid: text.replace(/\0+$/, ''), bdf, settings })
    }
  }
  return out
}

function memoryBlock(view: DataView, type: number, at: number): IvmdBlock {
  const flags = view.getUint8(at + 1)
  const first = view.getUint16(at + 4, true)
  const last = type === IVMD.RANGE ? view.getUint16(at + 6, true) : first
  return {
    scope: type === IVMD.ALL ? 'all' : { first, last },
    segment: view.getUint16(at + 8, true),
    first: Number(view.getBigUint64(at + 16, true)),
    size: Number(view.getBigUint64(at + 24, true)),
    unity: (flags & 1) !== 0,
    read: (flags & 2) !== 0,
    write: (flags & 4) !== 0,
    exclusion: (flags & 8) !== 0,
  }
}

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
    ...little(HEADER + body.length, 4),
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
