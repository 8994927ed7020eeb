/**
 * The driver's files below /sys/kernel/debug/iommu/amd: a register, a word of the capability block, the command buffer, and for
 * the function whose id was written to `devid` its device table entry and its interrupt entries. drivers/iommu/amd/debugfs.c.
 */
import {
  bdf,
  type Bdf,
  type Cpu,
  formatBdf,
  hpaOf,
  join,
  type SysfsAttribute,
  type SysfsTree,
  UapiError,
  unsignedText,
} from '@ioasis/core'
import { DTE2, INT_CTL } from '../spec/device-table.ts'
import { EFR } from '../spec/features.ts'
import { REG, REGISTER_BYTES, REGISTER_BYTES_COUNTERS } from '../spec/registers.ts'
import type { AmdDriver } from './amd-driver.ts'
import { BUFFER_BYTES } from './command-buffer.ts'
import { type Dte, getDte } from './device-table-entry.ts'
import { has } from './features.ts'
import type { IvhdUnit } from './ivhd-unit.ts'

const hex16 = (value: bigint): string => value.toString(16).padStart(16, '0')
const hex8 = (value: number): string => (value >>> 0).toString(16).padStart(8, '0')
const DEVID = /^(?:\s*(?:0x)?([0-9a-f]+):)?\s*(?:0x)?([0-9a-f]+):\s*(?:0x)?([0-9a-f]+)\.\s*(?:0x)?([0-9a-f]+)/i
const LAST_CAPABILITY = 0x14
/** Longest text that is taken: OFS_IN_SZ, DEVID_IN_SZ. */
const MOST = { offset: 8, devid: 16 } as const

/** A file that is told an offset and then shows what is there. */
function offsetFile(most: number, advice: string, show: (offset: number) => string): SysfsAttribute {
  let offset = -1
  return {
    show: () => (offset < 0 ? advice : show(offset)),
    store: (text) => {
      offset = -1
      const number = unsignedText(text, 31)
      if (text.length > MOST.offset || number === undefined || number > most)
        throw new UapiError('EINVAL', 'write', { text })
      offset = number
    },
  }
}

/** Puts the files where Linux has them. @param cpu reads memory */
export function showDebugFiles(sysfs: SysfsTree, driver: AmdDriver, cpu: Cpu): void {
  const directory = '/sys/kernel/debug/iommu/amd'
  driver.units.forEach((unit, i) => {
    const here = `${directory}/iommu${String(i).padStart(2, '0')}`
    for (const [name, file] of Object.entries(unitFiles(unit, cpu))) sysfs.addFile(`${here}/${name}`, file)
  })
  const chosen: { at: { readonly segment: number; readonly requester: Bdf } | undefined } = { at: undefined }
  const shown = (show: (segment: number, requester: Bdf) => string) => (): string =>
    chosen.at ? show(chosen.at.segment, chosen.at.requester) : "Enter a valid device ID to 'devid' file\n"
  sysfs.addFile(`${directory}/devid`, {
    show: () =>
      chosen.at ? `${formatBdf(chosen.at.requester, chosen.at.segment)}\n` : 'No or Invalid input provided\n',
    store: (text) => {
      chosen.at = undefined
      chosen.at = readDevid(text, driver)
    },
  })
  sysfs.addFile(`${directory}/devtbl`, { show: shown((segment, id) => entryText(driver, segment, id)) })
  sysfs.addFile(`${directory}/irqtbl`, {
    show: driver.remapsInterrupts
      ? shown((segment, id) => interruptsText(driver, cpu, segment, id))
      : () => 'Interrupt remapping is disabled\n',
  })
}

/** How far Linux maps registers (init_iommu_one): performance counters lie beyond 16 KiB. */
const mappedBytes = ({ features }: IvhdUnit): number =>
  has(features.efr, EFR.PCSup) ? REGISTER_BYTES_COUNTERS : REGISTER_BYTES

function unitFiles(unit: IvhdUnit, cpu: Cpu): Readonly<Record<string, SysfsAttribute>> {
  const { registers, fn, block } = unit
  const register = (offset: number): string =>
    `Offset:0x${offset.toString(16)} Value:0x${hex16(registers.read64(offset))}\n`
  const capability = (offset: number): string =>
    `Offset:0x${offset.toString(16)} Value:0x${hex8(fn.readConfig(block.capabilityOffset + offset, 4))}\n`
  return {
    // The last whole register that is mapped.
    mmio: offsetFile(mappedBytes(unit) - 8, "Please provide mmio register's offset\n", register),
    capability: offsetFile(
      LAST_CAPABILITY,
      "Please provide capability register's offset in the range [0x00 - 0x14]\n",
      capability,
    ),
    cmdbuf: { show: () => commandsText(unit, cpu) },
  }
}

function commandsText({ registers }: IvhdUnit, cpu: Cpu): string {
  const slot = (offset: number): number => (registers.read(offset) >>> 4) & 0x7fff
  const ring = Number(registers.read64(REG.CMDBASE) & 0x000f_ffff_ffff_f000n)
  const lines = [`CMD Buffer Head Offset:${slot(REG.CMDHEAD)} Tail Offset:${slot(REG.CMDTAIL)}\n`]
  for (let i = 0; i < BUFFER_BYTES / 16; i++) {
    const words = [0, 4, 8, 12].map((at) => hex8(Number(cpu.load(ring + 16 * i + at, 4))))
    lines.push(`${String(i).padStart(3)}: ${words.join(' ')}\n`)
  }
  return lines.join('')
}

/** `0000:01:00.0`, `01:00.0`, as sscanf's %x takes numbers: blanks and 0x before, digits as few as one likes. @throws UapiError EINVAL, ENODEV for a function without a unit */
function readDevid(text: string, driver: AmdDriver): { readonly segment: number; readonly requester: Bdf } {
  const m = DEVID.exec(text)
  if (!m || text.length >= MOST.devid) throw new UapiError('EINVAL', 'write', { text })
  const [segment, bus, slot, fn] = m.slice(1).map((digits) => parseInt(digits ?? '0', 16)) as [
    number,
    number,
    number,
    number,
  ]
  const requester = bdf(bus & 0xff, slot & 0x1f, fn & 7)
  const map = driver.mapOf(segment)
  if (!map || requester > map.lastBdf) throw new UapiError('EINVAL', 'write', { text })
  if (!map.unitOf(requester)) throw new UapiError('ENODEV', 'write', { text })
  return { segment, requester }
}

const words = (dte: Dte): readonly bigint[] =>
  [0, 1, 2, 3].map((i) => join(dte[2 * i + 1] as number, dte[2 * i] as number))

function entryText(driver: AmdDriver, segment: number, requester: Bdf): string {
  const index = driver.units.findIndex((unit) => unit.block === driver.mapOf(segment)?.unitOf(requester))
  const columns = ['QWORD[3]', 'QWORD[2]', 'QWORD[1]', 'QWORD[0]'].map((name) => name.padStart(16))
  const values = words(driver.tableOf(segment).read(requester)).toReversed().map(hex16)
  return `${'DeviceId'.padEnd(12)} ${columns.join(' ')} iommu\n${formatBdf(requester, segment)} ${values.join(' ')} iommu${index}\n`
}

function interruptsText(driver: AmdDriver, cpu: Cpu, segment: number, requester: Bdf): string {
  const dte = driver.tableOf(segment).read(requester)
  const place = formatBdf(requester, segment)
  if (getDte(dte, 2, DTE2.IntCtl) !== INT_CTL.REMAP) return `IRQ lookup table not set for ${place.replace('.', ':')}\n`
  const table = hpaOf((dte[5] as number) & 0xf_ffff, (dte[4] as number) & ~0x3f)
  const wide = driver.features.wideInterrupts
  const lines = [`DeviceId ${place}\n`]
  for (let i = 0; i < 2 ** getDte(dte, 2, DTE2.IntTabLen); i++) {
    const low = cpu.load(table + i * (wide ? 16 : 4), wide ? 8 : 4)
    if ((low & 1n) === 0n) continue
    const text = wide ? `${hex16(cpu.load(table + i * 16 + 8, 8))} ${hex16(low)}` : hex8(Number(low))
    lines.push(`IRT[${String(i).padStart(4, '0')}] ${text}\n`)
  }
  return `${lines.join('')}\n`
}
