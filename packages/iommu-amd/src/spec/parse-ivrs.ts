/** Reads firmware's table of units; drivers/iommu/amd/init.c does it for Linux. Blocks of unknown type are left out, as there. */
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

const dataView = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/**
 * Parses a whole IVRS table, header included.
 * @throws RangeError when it is not an IVRS table, is cut short, its checksum is wrong or a block overruns it
 */
export function parseIvrs(bytes: Uint8Array): IvrsTable {
  const view = dataView(bytes)
  if (bytes.length < IVRS_HEADER || String.fromCharCode(...bytes.subarray(0, 4)) !== 'IVRS')
    throw new RangeError('IVRS: not an IVRS table')
  const length = view.getUint32(4, true)
  if (length > bytes.length) throw new RangeError(`IVRS: the header says ${length} bytes, ${bytes.length} are there`)
  if ((bytes.subarray(0, length).reduce((sum, b) => sum + b, 0) & 0xff) !== 0)
    throw new RangeError('IVRS: wrong checksum')
  const units: IvhdBlock[] = []
  const memory: IvmdBlock[] = []
  for (let at = IVRS_HEADER; at + 4 <= length;) {
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
