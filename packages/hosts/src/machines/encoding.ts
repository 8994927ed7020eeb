/** How recorded machines are stored: zeros left out, one base, and the others as differences to it. */
import type { MachineFile } from '../machine-file.ts'

/** A machine file with devices and groups by name, and short configuration spaces. */
export interface EncodedMachine {
  readonly machine: string
  readonly origin: string
  readonly devices: Readonly<Record<string, EncodedDevice>>
  readonly groups: Readonly<Record<string, EncodedGroup>>
  readonly iomem: readonly string[]
  readonly acpi: Readonly<Record<string, string>>
  readonly iommuClass: readonly string[]
}
interface EncodedDevice {
  readonly driver: string | null
  readonly group: number | null
  readonly path: string
  readonly attrs: Readonly<Record<string, string>>
  readonly files: readonly string[]
  /** `offset:hex offset:hex … /length`: zeros between. */
  readonly config: string
  /** Rows without `0x` and leading zeros, joined by commas; an unused row is empty. */
  readonly resource: string
}
interface EncodedGroup {
  readonly type: string
  readonly devices: readonly string[]
  readonly reserved: readonly (readonly [start: string, end: string, type: string])[]
}
/** What stands at a path otherwise than in the base; no value: nothing stands there. */
export type Difference = readonly [path: readonly string[], value?: unknown]

/** @returns the machine file that was encoded, without its log */
export function decodeMachine(base: EncodedMachine, differences: readonly Difference[]): MachineFile {
  const machine = structured(base)
  for (const [path, ...value] of differences) change(machine, path, value)
  return {
    ...machine,
    devices: Object.entries(machine.devices)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(decodeDevice),
    groups: Object.entries(machine.groups).map(decodeGroup),
  }
}

const decodeDevice = ([bdf, device]: readonly [string, EncodedDevice]): MachineFile['devices'][number] => ({
  ...device,
  bdf,
  config: decodeConfig(device.config),
  resource: device.resource.split(',').map(decodeRow),
})
const decodeGroup = ([id, group]: readonly [string, EncodedGroup]): MachineFile['groups'][number] => ({
  ...group,
  id: Number(id),
})

const structured = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T

function change(machine: EncodedMachine, path: readonly string[], value: readonly unknown[]): void {
  let at = machine as unknown as Record<string, unknown>
  for (const key of path.slice(0, -1)) at = at[key] as Record<string, unknown>
  const last = path.at(-1) as string
  if (value.length > 0) at[last] = value[0]
  else delete at[last]
}

function decodeConfig(text: string): string {
  const [pieces, length] = text.split('/') as [string, string]
  const bytes = Array<string>(Number(length)).fill('00')
  for (const piece of pieces.trim().split(' ')) {
    const [offset, digits] = piece.split(':') as [string, string]
    const first = parseInt(offset, 16)
    for (let i = 0; 2 * i < digits.length; i++) bytes[first + i] = digits.slice(2 * i, 2 * i + 2)
  }
  return bytes.join('')
}

const decodeRow = (row: string): string =>
  (row || '0 0 0')
    .split(' ')
    .map((v) => `0x${v.padStart(16, '0')}`)
    .join(' ')
