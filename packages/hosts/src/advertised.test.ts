/** docs/advertised.md is what the units' registers say: `vitest -u` writes it anew. */
import { createHost, hex, type Host, IommuUnit, Pci } from '@ioasis/core'
import { amdIommu } from '@ioasis/iommu-amd'
import { intelIommu } from '@ioasis/iommu-intel'
import { describe, expect, test } from 'vitest'
import { AMD, type AdvertisedField, type AdvertisedRegister, INTEL } from './advertised-fields.test-kit.ts'
import { LAB_MACHINES } from './lab.ts'
import { machineHost } from './presets.ts'

/** A unit: who has it, and its registers in the order of the tables. */
interface Unit {
  readonly who: string[]
  readonly registers: readonly bigint[]
}

const bits = (value: bigint, [, hi, lo]: AdvertisedField): bigint =>
  (value >> BigInt(lo)) & ((1n << BigInt(hi - lo + 1)) - 1n)

function intelRegisters(host: Host): readonly bigint[] {
  const [unit] = host.all(IommuUnit)
  return [0x08, 0x10].map((at) => unit?.mmio?.load(at, 8) ?? 0n)
}
function amdRegisters(host: Host): readonly bigint[] {
  const [unit] = host.all(IommuUnit)
  const fn = host.get(Pci).functions.find((one) => one.readConfig(0x0a, 2) === 0x0806)
  const header = BigInt((fn?.readConfig(fn.capability(0x0f), 4) ?? 0) >>> 0)
  return [header, ...[0x30, 0x1a0].map((at) => unit?.mmio?.load(at, 8) ?? 0n)]
}

/** All units of one vendor, those with the same registers together. */
function unitsOf(vendor: 'dmar' | 'ivhd'): Unit[] {
  const units: Unit[] = []
  const add = (who: string, host: Host): void => {
    if (!host.all(IommuUnit).some((unit) => unit.name.startsWith(vendor))) return
    const registers = vendor === 'dmar' ? intelRegisters(host) : amdRegisters(host)
    const same = units.find((unit) => unit.registers.every((value, i) => value === registers[i]))
    if (same) same.who.push(who)
    else units.push({ who: [who], registers })
  }
  using standard = createHost({ plugins: [vendor === 'dmar' ? intelIommu() : amdIommu()] })
  add(vendor === 'dmar' ? '`intelIommu()`' : '`amdIommu()`', standard)
  for (const name of LAB_MACHINES) {
    using host = machineHost(name)
    add(name, host)
  }
  return units
}

function section(title: string, tables: readonly AdvertisedRegister[], units: readonly Unit[]): string {
  const parts = tables.map(({ name, source, fields }, i) => {
    const columns = units.map((_, n) => `unit ${n + 1}`)
    const rows = fields.map((field) => {
      const [mnemonic, hi, lo, meaning] = field
      const values = units.map(({ registers }) => hex(bits(registers[i] as bigint, field)))
      return [mnemonic, hi === lo ? `${hi}` : `${hi}:${lo}`, ...values, meaning]
    })
    const whole = ['all', '63:0', ...units.map(({ registers }) => hex(registers[i] as bigint)), '']
    const head = ['field', 'bits', ...columns, 'here']
    return `### ${name}\n\n${source}.\n\n${table([head, ...rows, whole])}`
  })
  const list = units.map(({ who }, n) => `- unit ${n + 1}: ${who.join(', ')}`).join('\n')
  return `## ${title}\n\n${list}\n\n${parts.join('\n')}`
}
/** Aligned, so that the formatter leaves it as it is. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(3, ...rows.map((row) => (row[i] as string).length)))
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, i) => cell.padEnd(widths[i] as number)).join(' | ')} |\n`
  const [head = [], ...rest] = rows
  return line(head) + line(widths.map((width) => '-'.repeat(width))) + rest.map(line).join('')
}

const INTRODUCTION = `# What the units advertise

Every field of the capability registers, its value on each unit of this project, and what follows from it here. Written by
\`packages/hosts/src/advertised.test.ts\`, which reads the registers of each unit and fails when this page says something else.
`

test('docs/advertised.md says what the registers say', async () => {
  const text = [
    INTRODUCTION,
    section('Intel VT-d', INTEL, unitsOf('dmar')),
    section('AMD-Vi', AMD, unitsOf('ivhd')),
  ].join('\n')
  await expect(text).toMatchFileSnapshot('../../../docs/advertised.md')
})

describe.each([
  ['Intel VT-d', INTEL, 'dmar' as const],
  ['AMD-Vi', AMD, 'ivhd' as const],
])('%s', (_title, tables, vendor) => {
  test('no bit is set that the page does not name', () => {
    const unnamed = unitsOf(vendor).flatMap(({ who, registers }) =>
      tables.flatMap(({ name, fields }, i) => {
        const named = fields.reduce((all, [, hi, lo]) => all | (((1n << BigInt(hi - lo + 1)) - 1n) << BigInt(lo)), 0n)
        const rest = (registers[i] as bigint) & ~named
        return rest === 0n ? [] : [`${who.join(', ')}: ${name} ${hex(rest)}`]
      }),
    )
    expect(unnamed).toEqual([])
  })
})
