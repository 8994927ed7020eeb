/**
 * The driver's files below /sys/kernel/debug/iommu/intel: registers, context entries, page tables and interrupt entries as
 * text, read when the file is. drivers/iommu/intel/debugfs.c.
 */
import { type Bdf, type Cpu, formatBdf, get, type Hpa, join } from '@ioasis/core'
import { CONTEXT_HI, CONTEXT_LO, TT } from '../spec/context-entry.ts'
import { GCMD, REG } from '../spec/registers.ts'
import { ROOT, ROOT_ENTRY_BYTES } from '../spec/root-entry.ts'
import { SS } from '../spec/second-stage.ts'
import { isPresent, tableOf } from './context-table.ts'
import type { DmarUnit } from './dmar-unit.ts'
import type { InterruptTable } from './interrupt-table.ts'
import type { EntryWords } from './unit-memory.ts'

const wide = (value: bigint): string => `0x${value.toString(16).padStart(16, '0')}`
const low = (words: EntryWords): bigint => join(words[1], words[0])
const high = (words: EntryWords): bigint => join(words[3], words[2])

const NARROW =
  'VER GCMD GSTS FSTS FECTL FEDATA FEADDR FEUADDR PMEN PLMBASE PLMLIMIT ICS PRS PECTL PEDATA PEADDR PEUADDR'
const WIDE = 'CAP ECAP RTADDR PHMBASE PHMLIMIT IQH IQT IQA IRTA PQH PQT PQA MTRRCAP'
/** Memory type registers: Intel VT-d r4.1 "MTRR Default Type Register" and those behind it. */
const MTRRS: readonly (readonly [string, number])[] = [
  ['MTRRDEF', 0x108],
  ['MTRR_FIX64K_00000', 0x120],
  ['MTRR_FIX16K_80000', 0x128],
  ['MTRR_FIX16K_A0000', 0x130],
  ...['C0000', 'C8000', 'D0000', 'D8000', 'E0000', 'E8000', 'F0000', 'F8000'].map(
    (place, i) => [`MTRR_FIX4K_${place}`, 0x138 + 8 * i] as const,
  ),
  ...Array.from({ length: 10 }, (_, i) => [
    [`MTRR_PHYSBASE${i}`, 0x180 + 16 * i] as const,
    [`MTRR_PHYSMASK${i}`, 0x188 + 16 * i] as const,
  ]).flat(),
]
const named = (names: string): readonly (readonly [string, number])[] =>
  names.split(' ').map((name) => [name, REG[name as keyof typeof REG]] as const)
const NARROW_REGISTERS = named(NARROW)
const WIDE_REGISTERS = [...named(WIDE), ...MTRRS]

const registerRow = ([register, offset]: readonly [string, number], value: bigint): string =>
  `${register.padEnd(16)}\t0x${offset.toString(16).padStart(2, '0')}\t\t${wide(value)}\n`

/** `iommu_regset`. */
export const registersText = (units: readonly DmarUnit[]): string =>
  units
    .map(({ name, registers }) => {
      return [
        `IOMMU: ${name} Register Base Address: ${registers.base.toString(16)}\n`,
        'Name\t\t\tOffset\t\tContents\n',
        ...NARROW_REGISTERS.map((r) => registerRow(r, BigInt(registers.read(r[1]) >>> 0))),
        ...WIDE_REGISTERS.map((r) => registerRow(r, registers.read64(r[1]))),
        '\n',
      ].join('')
    })
    .join('')

const translates = ({ registers }: DmarUnit): boolean => (registers.read(REG.GSTS) & GCMD.TE) !== 0
const notEnabled = ({ name }: DmarUnit): string => `DMA Remapping is not enabled on ${name}\n`

/** `dmar_translation_struct`: every present context entry. */
export const contextsText = (units: readonly DmarUnit[]): string =>
  units
    .map((unit) => {
      if (!translates(unit)) return notEnabled(unit)
      return [
        `IOMMU ${unit.name}: Root Table Address: 0x${unit.contexts.root.toString(16)}\n`,
        'B.D.F\tRoot_entry\t\t\t\tContext_entry\t\t\t\tPASID\tPASID_table_entry\n',
        ...Array.from({ length: 256 }, (_, bus) => busText(unit, bus)),
        '\n',
      ].join('')
    })
    .join('')

/** Legacy mode has no PASIDs: -1 and zeros stand for them. */
const NO_PASID_COLUMNS = `${'-1'.padEnd(6)}\t${[0n, 0n, 0n].map(wide).join(':')}\n`

const pair = (words: EntryWords): string => `${wide(high(words))}:${wide(low(words))}`

function busText({ memory, contexts }: DmarUnit, bus: number): string {
  const root = memory.load128(contexts.root + bus * ROOT_ENTRY_BYTES)
  if (!get(ROOT.P, root[0], root[1])) return ''
  return Array.from({ length: 256 }, (_, devfn): string => {
    const requester = (bus << 8) | devfn
    const entry = contexts.read(requester)
    if (!isPresent(entry)) return ''
    const place = formatBdf(requester)
    return `${place}\t${pair(root)}\t${pair(entry)}\t${NO_PASID_COLUMNS}`
  }).join('')
}

const COLUMNS = ['PML5E', 'PML4E', 'PDPE', 'PDE'].map((name) => name.padEnd(18)).join('\t')

/** `domain_translation_struct` of a function: every leaf with the entries above it; nothing for one that is not translated. */
export function domainText(unit: DmarUnit, requester: Bdf): string {
  if (!translates(unit)) return notEnabled(unit)
  const entry = unit.contexts.read(requester)
  const type = get(CONTEXT_LO.TT, entry[0], entry[1])
  if (!isPresent(entry) || (type !== TT.MULTI_LEVEL && type !== TT.DEVICE_TLB)) return ''
  const table = tableOf(entry)
  const levels = get(CONTEXT_HI.AW, entry[2], entry[3]) + 2
  const lines = [
    `Device ${formatBdf(requester, unit.segment)} @0x${table.toString(16)}\n`,
    `${'IOVA_PFN'.padEnd(17)}\t${COLUMNS}\tPTE\n`,
  ]
  new LeafLister(unit.memory.cpu, lines).level(table, levels, 0n, [])
  return lines.join('')
}

const ENTRIES = 512
const ENTRY_BYTES = 8
/** Columns of entries: levels 5 to 1. */
const TOP_LEVEL = 5

/** Walks a table with a reader of its own and prints leaves. */
class LeafLister {
  readonly #cpu: Cpu
  readonly #lines: string[]

  constructor(cpu: Cpu, lines: string[]) {
    this.#cpu = cpu
    this.#lines = lines
  }
  /** @param path entries above, the topmost first */
  level(table: Hpa, level: number, start: bigint, path: readonly bigint[]): void {
    for (let i = 0; i < ENTRIES; i++) {
      const value = this.#cpu.load(table + i * ENTRY_BYTES, ENTRY_BYTES)
      if (!get(SS.R, Number(value & 3n), 0) && !get(SS.W, Number(value & 3n), 0)) continue
      const iova = start + (BigInt(i) << BigInt(12 + 9 * (level - 1)))
      const whole = [...path, value]
      if (level === 1 || get(SS.PS, Number(value & 0xfffn), 0)) this.#print(iova, level, whole)
      else this.level(Number(value & 0xf_ffff_ffff_f000n), level - 1, iova, whole)
    }
  }
  /** Columns of levels that the table does not have hold 0; those below the leaf are left out, but not above the third. */
  #print(iova: bigint, level: number, path: readonly bigint[]): void {
    const columns = [...Array.from({ length: TOP_LEVEL - (level + path.length - 1) }, () => 0n), ...path]
    while (columns.length < 3) columns.push(0n)
    this.#lines.push(`0x${(iova >> 12n).toString(16).padStart(13, '0')} |\t${columns.map(wide).join('\t')}\n`)
  }
}

/** `ir_translation_struct`: tables, of which all entries are empty; no unit posts interrupts. */
export function interruptsText(
  units: readonly DmarUnit[],
  tables: ReadonlyMap<DmarUnit, Pick<InterruptTable, 'hpa'>>,
): string {
  const capable = units.filter((unit) => unit.capabilities.interruptRemapping)
  const parts = capable.map((unit) => {
    const table = tables.get(unit)
    const state = table
      ? ` IR table address:${table.hpa.toString(16)}\n Entry SrcID   DstID    Vct IRTE_high\t\tIRTE_low\n`
      : 'Interrupt Remapping is not enabled\n'
    return `Remapped Interrupt supported on IOMMU: ${unit.name}\n${state}\n`
  })
  return `${parts.join('')}****\n\n`
}
