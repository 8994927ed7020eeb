/**
 * Texts of the IOMMU drivers' debugfs files hold physical addresses, domain ids and queue positions that differ from boot to
 * boot. Each is brought into a form that keeps what does not (drivers/iommu/intel/debugfs.c and drivers/iommu/amd/debugfs.c
 * print them).
 */

/** @param path as the script names it @returns the text to compare: as it is for every other file */
export function comparableText(path: string, text: string): string {
  switch (path.split('/').at(-1) ?? '') {
    case 'iommu_regset':
      return registers(text)
    case 'dmar_translation_struct':
      return contextEntries(text)
    case 'ir_translation_struct':
      return text.split('\n')[0] ?? ''
    case 'domain_translation_struct':
      return pageTableEntries(text)
    case 'devtbl':
      return deviceTableEntry(text)
    case 'irqtbl':
      return text.split('\n')[0] ?? ''
    case 'cmdbuf':
      return commands(text)
    case 'mmio':
      return amdRegister(text)
    default:
      return text
  }
}

/** Addresses of tables and queues, and where in a queue the driver is. */
const VARYING_REGISTERS = new Set(['RTADDR', 'IQA', 'IQH', 'IQT', 'IRTA'])

const varies = (line: string): boolean => VARYING_REGISTERS.has(line.split(/\s+/)[0] ?? '')

function registers(text: string): string {
  return text
    .split('\n')
    .map((line) => (varies(line) ? line.replace(/0x[0-9a-f]{16}$/, '-') : line))
    .join('\n')
}

const low = (digits: string, bits: bigint): string => `0x${(BigInt(digits) & ((1n << bits) - 1n)).toString(16)}`

/** `B.D.F root(high:low) context(high:low)`: present bits and types, not where tables lie or which domain it is. */
const CONTEXT_ROW =
  /^([0-9a-f]{2,4}:[0-9a-f]{2}\.[0-7])\s+0x[0-9a-f]{16}:(0x[0-9a-f]{16})\s+(0x[0-9a-f]{16}):(0x[0-9a-f]{16})/

function contextEntries(text: string): string {
  return text
    .split('\n')
    .map((line) => {
      const row = CONTEXT_ROW.exec(line)
      if (!row) return line.replace(/(Root Table Address: )0x[0-9a-f]+/, '$1-')
      const [, bdf = '', root = '0', contextHigh = '0', contextLow = '0'] = row
      return `${bdf} root ${low(root, 12n)} context ${low(contextHigh, 3n)}:${low(contextLow, 12n)}`
    })
    .join('\n')
}

/** `IOVA_PFN | entry entry …`: how many levels, and the low bits of each entry. */
function pageTableEntries(text: string): string {
  return text
    .split('\n')
    .map((line) => {
      const [pfn, entries] = line.split('|\t', 2)
      if (entries === undefined) return line.replace(/(^Device \S+ )@0x[0-9a-f]+$/, '$1@-')
      return `${pfn}|${entries
        .split('\t')
        .map((entry) => low(entry.trim(), 12n))
        .join(' ')}`
    })
    .join('\n')
}

/** What a device table entry says of places, by 64-bit word: root tables, interrupt table, domain id. The rest is flags. */
const PLACES_IN_ENTRY: readonly bigint[] = [
  0x1c0f_ffff_ffff_f000n, // Host Page Table Root Pointer, GCR3 Table Root Pointer[14:12]
  0xffff_f800_ffff_ffffn, // GCR3 Table Root Pointer[51:31] and [30:15], DomainID
  0x000f_ffff_ffff_ffc0n, // Interrupt Table Root Pointer
  0n,
]
/** `B.D.F word3 word2 word1 word0 unit`. */
const DEVICE_ROW = /^(\S+) ([0-9a-f]{16}) ([0-9a-f]{16}) ([0-9a-f]{16}) ([0-9a-f]{16}) (iommu\d+)$/

function deviceTableEntry(text: string): string {
  return text
    .split('\n')
    .map((line) => {
      const [, place, ...rest] = DEVICE_ROW.exec(line) ?? []
      if (place === undefined) return line
      const kept = rest.slice(0, 4).map((digits, i) => hex(BigInt(`0x${digits}`) & ~(PLACES_IN_ENTRY[3 - i] as bigint)))
      return `${place} ${kept.join(' ')} ${rest[4]}`
    })
    .join('\n')
}
const hex = (value: bigint): string => `0x${value.toString(16)}`

/** Where in the ring the driver is, and what it asked for before, is history: the shape is left. */
const commands = (text: string): string =>
  text
    .replace(/(Offset:)\d+/g, '$1-')
    .split('\n')
    .map((line) => line.replace(/( *\d+:)( [0-9a-f]{8}){4}$/, '$1'))
    .join('\n')

/** Registers that hold an address of memory, and those that hold a position in a ring. */
const AMD_PLACES = new Set([0x00, 0x08, 0x10, 0x38, 0xe0, 0xe8])
const AMD_POSITIONS = 0x2000

function amdRegister(text: string): string {
  const [, offset, value] = /^Offset:(0x[0-9a-f]+) Value:(0x[0-9a-f]{16})$/.exec(text) ?? []
  if (offset === undefined || value === undefined) return text
  const at = Number(offset)
  if (at >= AMD_POSITIONS) return `${offset} -`
  return `${offset} ${hex(BigInt(value) & (AMD_PLACES.has(at) ? ~0x000f_ffff_ffff_f000n : -1n))}`
}
