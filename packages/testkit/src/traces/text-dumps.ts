/**
 * Texts of VT-d's debugfs files hold physical addresses, domain ids and queue positions that differ from boot to boot. Each is
 * brought into a form that keeps what does not (drivers/iommu/intel/debugfs.c prints them).
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
