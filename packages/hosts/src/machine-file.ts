/** Reads a recorded machine: the JSON that a dump of sysfs, ACPI tables and /proc/iomem makes. Nothing half read is returned. */
import { CompositionError, hex, parseBdf, type ReservedRegion } from '@ioasis/core'
import { barsOfResource, type RecordedBar } from '@ioasis/devices'
import { Part } from './file-part.ts'
import { jsonError } from './json-position.ts'
import {
  checkMachine,
  type DescribedFunction,
  type DescribedGroup,
  type DescribedIommu,
  busesBehind,
  keyOf,
  leadsToBus,
  type MachineDescription,
} from './machine-description.ts'

/** A device of a machine file. */
export interface MachineFileDevice {
  /** `0000:01:00.0`. */
  readonly bdf: string
  readonly driver: string | null
  readonly group: number | null
  /** Under /sys/devices, through the bridges above. */
  readonly path: string
  readonly attrs: Readonly<Record<string, string>>
  /** Lines of sysfs' `resource` file. */
  readonly resource: readonly string[]
  readonly files: readonly string[]
  /** Configuration space in hexadecimal: 512 or 8192 digits. */
  readonly config: string
}

/** A machine file. `log` and other keys are for reading and not looked at. */
export interface MachineFile {
  readonly machine: string
  readonly origin: string
  readonly devices: readonly MachineFileDevice[]
  readonly groups: readonly {
    readonly id: number
    readonly type: string
    readonly devices: readonly string[]
    readonly reserved: readonly (readonly [start: string, end: string, type: string])[]
  }[]
  /** /proc/iomem, line by line. */
  readonly iomem: readonly string[]
  /** Whole ACPI tables in hexadecimal, by signature. */
  readonly acpi: Readonly<Record<string, string>>
  /** Names and contents below /sys/class/iommu. */
  readonly iommuClass: readonly string[]
}

/**
 * Reads a machine file.
 * @param text its JSON
 * @param source its name, for messages
 * @throws CompositionError one line naming file, device, value and rule
 */
export function parseMachineFile(text: string, source = 'machine file'): MachineDescription {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    const { line, column } = jsonError(text) ?? { line: 1, column: 1 }
    throw new CompositionError(`${source}:${line}:${column}: not JSON`)
  }
  return describeMachine(value, source)
}

/**
 * Turns the parsed JSON of a machine file into a machine.
 * @throws CompositionError one line naming file, device, value and rule
 */
export function describeMachine(value: unknown, source = 'machine file'): MachineDescription {
  const file = new Part(source, value)
  const devices = file.list('devices').map((device) => new Part(`${source}: ${device.text('bdf')}`, device.value))
  const functions = devices.map(describeFunction)
  checkMachine(source, functions, true)
  devices.forEach((device, i) => checkPath(device, functions[i] as DescribedFunction, functions))
  const names = new Set(devices.map((d) => d.text('bdf')))
  const iommuClass = file.texts('iommuClass')
  return {
    name: file.text('machine'),
    origin: file.text('origin'),
    functions: functions.toSorted((a, b) => keyOf(a) - keyOf(b)),
    ram: ramOf(file.texts('iomem')),
    iommu: iommuOf(iommuClass, file),
    acpi: Object.fromEntries(Object.entries(file.table('acpi')).map(([k, v]) => [k, file.bytes(`acpi.${k}`, v)])),
    groups: file.list('groups').map((g) => describeGroup(g, names)),
    assumed: [],
  }
}

function describeFunction(device: Part): DescribedFunction {
  const place =
    parseBdf(device.text('bdf')) ?? device.refuse('bdf', device.value['bdf'], 'a place such as 0000:01:00.0 is needed')
  const digits = device.text('config')
  if (digits.length !== 512 && digits.length !== 8192) {
    device.refuse('config', `${digits.length} digits`, '512 or 8192 digits (256 or 4096 bytes) are needed')
  }
  const { driver } = device.value
  if (driver !== null && typeof driver !== 'string') device.refuse('driver', driver, 'a string or null is needed')
  const attributes = device.table('attrs')
  const rows = device.texts('resource')
  return {
    ...place,
    config: device.bytes('config', digits),
    bars: named(device, () => barsOfResource(rows)),
    vfBars: named(device, () => vfBarsOf(rows, attributes)),
    driver: driver ?? undefined,
    attributes,
    files: device.texts('files'),
  }
}

/** Puts the device's name before what `read` refuses. */
function named<T>(device: Part, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (error instanceof CompositionError) throw new CompositionError(`${device.name}: ${error.message}`)
    throw error
  }
}

/** Rows 7 to 12 hold the BARs of all virtual functions together. */
function vfBarsOf(
  rows: readonly string[],
  { sriov_totalvfs: total }: Readonly<Record<string, string>>,
): readonly RecordedBar[] {
  if (total === undefined) return []
  const share = (bar: RecordedBar): RecordedBar => ({ ...bar, size: bar.size / Number(total) })
  return barsOfResource(rows.slice(7, 13)).map(share)
}

/** The bridges in a path must be there, each with the next bus behind it. */
function checkPath(device: Part, fn: DescribedFunction, functions: readonly DescribedFunction[]): void {
  const path = device.text('path').split('/').slice(3)
  const own = path.pop()
  if (own !== device.text('bdf') || !/^pci[0-9a-f]{4,8}:[0-9a-f]{2}$/.test(path[0] ?? '')) {
    device.refuse('path', device.value['path'], 'a path /sys/devices/pciDDDD:BB/…/BDF is needed')
  }
  let below = fn.bdf
  for (const name of path.slice(1).toReversed()) {
    const place = parseBdf(name)
    const bridge = place && functions.find((f) => keyOf(f) === keyOf(place))
    if (!bridge) throw new CompositionError(`${device.name}: its parent bridge ${name} is not described`)
    if (!leadsToBus(bridge) || busesBehind(bridge.config).secondary !== below >>> 8) {
      throw new CompositionError(
        `${device.name}: its parent ${name} is not a bridge with secondary bus ${hex(below >>> 8)}`,
      )
    }
    below = bridge.bdf
  }
}

const RESERVED_TYPES: Readonly<Record<string, ReservedRegion['type']>> = {
  direct: 'direct',
  'direct-relaxable': 'relaxable',
  reserved: 'reserved',
  msi: 'msi',
}

function describeGroup(group: Part, names: ReadonlySet<string>): DescribedGroup {
  const members = group.texts('devices')
  members.forEach((m) => names.has(m) || group.refuse('devices', m, 'a described device is needed'))
  const reserved = group.rows('reserved').map((row) => {
    const [first, last, type] = row as [string, string, string]
    const known =
      RESERVED_TYPES[type] ?? group.refuse('reserved', type, 'direct, direct-relaxable, reserved or msi is needed')
    if (!/^0x[0-9a-f]+$/i.test(first) || !/^0x[0-9a-f]+$/i.test(last))
      group.refuse('reserved', row, 'hexadecimal addresses are needed')
    return { first: BigInt(first), last: BigInt(last), type: known }
  })
  return { id: group.number('id'), type: group.text('type'), members, reserved }
}

/** "System RAM" lines, cut to whole pages. */
function ramOf(iomem: readonly string[]): { first: number; bytes: number }[] {
  return iomem.flatMap((line) => {
    const m = /^([0-9a-f]+)-([0-9a-f]+) : System RAM$/.exec(line)
    if (!m) return []
    const first = Math.ceil(parseInt(m[1] as string, 16) / 4096) * 4096
    const end = Math.floor((parseInt(m[2] as string, 16) + 1) / 4096) * 4096
    return end > first ? [{ first, bytes: end - first }] : []
  })
}

function iommuOf(iommuClass: readonly string[], file: Part): DescribedIommu | undefined {
  const find = (name: string): string | undefined =>
    iommuClass.map((line) => /^\S+\/(\S+) (\S+)$/.exec(line)).find((m) => m?.[1] === name)?.[2]
  const wide = (name: string): bigint => {
    const text = find(name)
    return text && /^[0-9a-f]+$/.test(text)
      ? BigInt(`0x${text}`)
      : file.refuse('iommuClass', text, `"${name}" in hexadecimal is needed`)
  }
  if (iommuClass.some((line) => line.includes('/intel-iommu/'))) {
    return { kind: 'intel', registers: Number(wide('address')), cap: wide('cap'), ecap: wide('ecap') }
  }
  const features = find('features')
  return features ? { kind: 'amd', features: BigInt(`0x${features.split(':')[0]}`) } : undefined
}
