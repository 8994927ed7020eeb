/** `docs/support.md`: every call of the kernel's headers, and what this repository makes of it, from the tables of composed hosts. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type Host, IoctlTable } from '@ioasis/core'
import { VFIO_EXTENSION, VFIO_FEATURE } from '@ioasis/uapi'
import { labHost } from './lab-kernel.ts'
import { powernvHost } from './power-machines.ts'

/** What is done with a call, and why where that is not plain. */
interface Entry {
  readonly how: 'modelled' | 'refused' | 'different'
  readonly why?: string
}
const refused = (why: string): Entry => ({ how: 'refused', why })
const different = (why: string): Entry => ({ how: 'different', why })

/** Calls that no table answers, each with the reason. */
const WITHOUT_ROW: Readonly<Record<string, Entry>> = {
  VFIO_DEVICE_QUERY_GFX_PLANE: refused('ENOTTY, as of every device without a display plane'),
  VFIO_DEVICE_GET_GFX_DMABUF: refused('ENOTTY, as of every device without a display plane'),
  VFIO_MIG_GET_PRECOPY_INFO: { how: 'modelled', why: 'a call of the data file of a device that migrates (`mtty`)' },
}
/** What remains to be said of calls that are answered. */
const NOTES: Readonly<Record<string, Entry>> = {
  VFIO_DEVICE_BIND_IOMMUFD: { how: 'modelled', why: 'ENOTTY where the kernel gives devices no nodes of their own' },
  VFIO_IOMMU_ENABLE: { how: 'modelled', why: 'SPAPR v1 and v2; ENOTTY under type1' },
  VFIO_IOMMU_DISABLE: { how: 'modelled', why: 'SPAPR v1 and v2; ENOTTY under type1' },
  VFIO_IOMMU_DIRTY_PAGES: {
    how: 'modelled',
    why: 'EACCES under type1 version 1; ENOTTY where an IOAS serves the container',
  },
  KVM_RUN: different('a guest of a few instructions: HLT, WBINVD and what leads to them'),
  KVM_SET_SREGS: different('kept and given back; they change nothing'),
  KVM_CHECK_EXTENSION: different('0 for all that device assignment does not need'),
}
/** Device features whose answer depends on the device. */
const FEATURES: Readonly<Record<keyof typeof VFIO_FEATURE, Entry>> = {
  PCI_VF_TOKEN: { how: 'modelled', why: 'physical functions with SR-IOV; ENOTTY of others' },
  MIGRATION: { how: 'modelled', why: 'devices that bring `migration` (`mtty`); ENOTTY of others, vfio-pci among them' },
  MIG_DEVICE_STATE: { how: 'modelled', why: 'as MIGRATION' },
  MIG_DATA_SIZE: { how: 'modelled', why: 'as MIGRATION' },
  MIG_PRECOPY_INFOv2: { how: 'modelled', why: 'devices that are copied while they run; EINVAL of others' },
  LOW_POWER_ENTRY: { how: 'modelled', why: 'vfio-pci' },
  LOW_POWER_ENTRY_WITH_WAKEUP: { how: 'modelled', why: 'vfio-pci' },
  LOW_POWER_EXIT: { how: 'modelled', why: 'vfio-pci' },
  DMA_LOGGING_START: { how: 'modelled', why: 'devices that bring `dmaLogging`; ENOTTY of others' },
  DMA_LOGGING_STOP: { how: 'modelled', why: 'as DMA_LOGGING_START' },
  DMA_LOGGING_REPORT: { how: 'modelled', why: 'as DMA_LOGGING_START' },
  BUS_MASTER: refused('ENOTTY, as of vfio-pci; CDX devices alone have it'),
  DMA_BUF: { how: 'modelled', why: 'vfio-pci' },
}
/** VFIO_CHECK_EXTENSION and VFIO_SET_IOMMU. */
const EXTENSIONS: Readonly<Record<keyof typeof VFIO_EXTENSION, Entry>> = {
  VFIO_TYPE1_IOMMU: { how: 'modelled' },
  VFIO_TYPE1v2_IOMMU: { how: 'modelled' },
  VFIO_SPAPR_TCE_IOMMU: { how: 'modelled', why: 'POWER' },
  VFIO_SPAPR_TCE_v2_IOMMU: { how: 'modelled', why: 'POWER' },
  VFIO_EEH: { how: 'modelled', why: 'POWER; 0 elsewhere' },
  VFIO_TYPE1_NESTING_IOMMU: refused('0, as of every kernel since 6.10'),
  VFIO_NOIOMMU_IOMMU: { how: 'modelled' },
  VFIO_DMA_CC_IOMMU: { how: 'modelled' },
  VFIO_UNMAP_ALL: { how: 'modelled' },
  VFIO_UPDATE_VADDR: { how: 'modelled', why: '0 beside an emulated device' },
}

/** A call of a header. */
export interface HeaderCall {
  readonly name: string
  readonly number: number
}
/** Calls of the kernel's headers (`packages/uapi/testdata/layout.json`), in the order of their numbers. */
export function headerCalls(): readonly HeaderCall[] {
  const file = new URL('testdata/layout.json', import.meta.resolve('@ioasis/uapi/package.json'))
  const { constants } = JSON.parse(readFileSync(fileURLToPath(file), 'utf8')) as { constants: Record<string, string> }
  return Object.entries(constants)
    .map(([name, value]) => ({ name, number: Number(value) }))
    .filter(({ name, number }) => isCall(name, number))
    .concat(POWER_CALLS)
}
/** Their numbers are made by the powerpc compiler. */
const POWER_CALLS: readonly HeaderCall[] = [
  { name: 'KVM_CREATE_SPAPR_TCE', number: 0x800caea8 },
  { name: 'KVM_CREATE_SPAPR_TCE_64', number: 0x8020aea8 },
]
const TYPES = new Set([0x3b, 0xae])
const isCall = (name: string, number: number): boolean =>
  TYPES.has((number >>> 8) & 0xff) && number >= 0x3b00 && !/_(?:BASE|REGVAL|DEFAULT|SELFTEST|INVALID)$/.test(name)

/** By name of a call: the files that answer it. */
function answered(): ReadonlyMap<string, ReadonlySet<string>> {
  const found = new Map<string, Set<string>>()
  for (const make of HOSTS) {
    using host = make()
    for (const { file, rows } of host.all(IoctlTable)) {
      for (const { call } of rows) {
        const files = found.get(call.name) ?? new Set()
        found.set(call.name, files.add(file))
      }
    }
  }
  return found
}
const HOSTS: readonly (() => Host)[] = [
  () => labHost('intel.test'),
  () => labHost('intel-sc.compat'),
  () => powernvHost(),
]

/** What is said of a call. @throws Error for a call that no table answers and nobody gave a reason for */
export function entryOf(name: string, files: ReadonlySet<string> | undefined): Entry {
  const entry = files ? (NOTES[name] ?? { how: 'modelled' }) : WITHOUT_ROW[name]
  if (!entry) throw new Error(`${name} is answered by no table, and nobody says why`)
  return entry
}

/** Columns as wide as their widest cell, as the formatter leaves them. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  const widths = head.map((_, i) => Math.max(3, ...[head, ...rows].map((cells) => (cells[i] as string).length)))
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i] as number)).join(' | ')} |`
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)]
}
const named = (entries: Readonly<Record<string, Entry>>): readonly (readonly string[])[] =>
  Object.entries(entries).map(([name, { how, why = '' }]) => [name, how, why])

/** What each package says of its own differences. */
function departures(name: string): readonly string[] {
  const file = new URL('README.md', import.meta.resolve(`@ioasis/${name}/package.json`))
  const text = readFileSync(fileURLToPath(file), 'utf8')
  const sections = [
    ...text.matchAll(/^## (?:Not there|Limits|Where it departs from Linux)\n([\s\S]*?)(?=^## |^Facts:|(?![\s\S]))/gm),
  ]
  const points = sections.flatMap(([, body]) =>
    (body as string).split('\n').filter((line) => line.startsWith('- ') || line.startsWith('  ')),
  )
  return points.length > 0 ? [`### ${name}`, '', ...points, ''] : []
}
const PACKAGES = ['iommufd', 'vfio', 'vfio-pci', 'kvm', 'iommu-mock', 'iommu-spapr']

/** The page, whole. */
export function supportPage(): string {
  const tables = answered()
  const calls = headerCalls().map(({ name, number }) => {
    const { how, why = '' } = entryOf(name, tables.get(name))
    return [name, `0x${number.toString(16)}`, [...(tables.get(name) ?? [])].join(', '), how, why]
  })
  const lines = [
    '# What is answered',
    '',
    'Every call of the kernel’s headers (include/uapi/linux/iommufd.h, vfio.h, kvm.h as far as assignment needs it, and',
    'drivers/iommu/iommufd/iommufd_test.h of Linux 7.2). _modelled_: answered as Linux does, refusals included. _refused_: no',
    'device or host here has it, and it is refused as Linux refuses it. _different_: see the reason. This page is made from the',
    'tables of composed hosts: `node tools/support.mjs` writes it, a test keeps it true.',
    '',
    '## Calls',
    '',
    ...table(['call', 'number', 'files', 'how', 'why'], calls),
    '',
    '## Device features (VFIO_DEVICE_FEATURE)',
    '',
    ...table(['feature', 'how', 'why'], named(FEATURES)),
    '',
    '## Extensions of containers (VFIO_CHECK_EXTENSION, VFIO_SET_IOMMU)',
    '',
    ...table(['extension', 'how', 'why'], named(EXTENSIONS)),
    '',
    '## Known differences and limits, as each package states them',
    '',
    ...PACKAGES.flatMap(departures),
  ]
  return `${lines.join('\n').trimEnd()}\n`
}
