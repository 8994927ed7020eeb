/**
 * The lab machines: QEMU 11.1.3 q35 machines on which Linux 7.2.12 was recorded, by name. Nine were dumped; the others are
 * one of those with other options.
 */
import { CompositionError } from '@ioasis/core'
import { describeMachine } from './machine-file.ts'
import type { MachineDescription } from './machine-description.ts'
import { BASE, DIFFERENCES } from './machines/data.ts'
import { decodeMachine } from './machines/encoding.ts'

/** A row of the option table. */
interface LabRow {
  /** The dump it is, or is derived from. */
  readonly dump: string
  /** QEMU's IOMMU option. */
  readonly qemu: string
  /** The kernel's own part of its command line. */
  readonly commandLine: string
  /** VT-d capability registers that differ from the dump's. */
  readonly cap?: bigint
  readonly ecap?: bigint
  /** Bits of an address on the bus (`aw-bits`); default 48. */
  readonly addressWidth?: number
  /** What is not modelled yet, in sentences. */
  readonly limits?: readonly string[]
}

const SCALABLE = ['scalable mode is not modelled: topology and groups only, DMA is not translated']
const NO_IOMMU = ['there is no IOMMU: no groups until a driver makes no-IOMMU groups']

const ROWS: Readonly<Record<string, LabRow>> = {
  intel: {
    dump: 'q35-intel',
    qemu: 'intel-iommu,intremap=on,caching-mode=off,snoop-control=off',
    commandLine: 'intel_iommu=on',
  },
  'intel-sc': { dump: 'q35-intel-sc', qemu: 'intel-iommu,intremap=on,snoop-control=on', commandLine: 'intel_iommu=on' },
  'intel-aw39': {
    dump: 'q35-intel-sc',
    qemu: 'intel-iommu,intremap=on,aw-bits=39,snoop-control=on',
    commandLine: 'intel_iommu=on',
    cap: 0x80d2008c22260206n,
    addressWidth: 39,
  },
  'intel-noir': {
    dump: 'q35-intel-noir',
    qemu: 'intel-iommu,intremap=off,snoop-control=on',
    commandLine: 'intel_iommu=on',
  },
  'intel-pt': {
    dump: 'q35-intel-sc',
    qemu: 'intel-iommu,intremap=on,snoop-control=on',
    commandLine: 'intel_iommu=on iommu=pt',
  },
  'intel-sm': {
    dump: 'q35-intel-sm',
    qemu: 'intel-iommu,scalable-mode=on,snoop-control=on',
    commandLine: 'intel_iommu=on',
    limits: SCALABLE,
  },
  'intel-sm-nosc': {
    dump: 'q35-intel-sm',
    qemu: 'intel-iommu,scalable-mode=on,snoop-control=off',
    commandLine: 'intel_iommu=on',
    ecap: 0x480080f00f4an,
    limits: SCALABLE,
  },
  'intel-smfs': {
    dump: 'q35-intel-smfs',
    qemu: 'intel-iommu,scalable-mode=on,fsts=on,snoop-control=on',
    commandLine: 'intel_iommu=on',
    limits: SCALABLE,
  },
  'intel-smpasid': {
    dump: 'q35-intel-smpasid',
    qemu: 'intel-iommu,scalable-mode=on,fsts=on,svm=on,device-iotlb=on,pasid-bits=20,snoop-control=on',
    commandLine: 'intel_iommu=on',
    limits: SCALABLE,
  },
  amd: { dump: 'q35-amd', qemu: 'amd-iommu,intremap=on,dma-remap=on', commandLine: 'amd_iommu=on' },
  'amd-xt': {
    dump: 'q35-amd-xt',
    qemu: 'amd-iommu,intremap=on,dma-remap=on,xtsup=on,device-iotlb=on',
    commandLine: 'amd_iommu=on',
  },
  'amd-pt': {
    dump: 'q35-amd',
    qemu: 'amd-iommu,intremap=on,dma-remap=on',
    commandLine: 'amd_iommu=on iommu=pt',
  },
  noiommu: {
    dump: 'q35-noiommu',
    qemu: '',
    commandLine: 'vfio.enable_unsafe_noiommu_mode=1',
    limits: NO_IOMMU,
  },
}

/** A lab machine: what was recorded, with the differences of its row. */
export interface LabMachine {
  /** e.g. `intel-sc`. */
  readonly name: string
  readonly qemu: string
  readonly commandLine: string
  readonly description: MachineDescription
  /** `iommu=pt`: the kernel's default domains are identity. */
  readonly identityDefault: boolean
  /** Bits of an address on the bus. */
  readonly addressWidth: number
  /** What of the machine is not modelled, in sentences; empty: all that was recorded. */
  readonly limits: readonly string[]
}

/** Names of the lab machines. */
export const LAB_MACHINES: readonly string[] = Object.freeze(Object.keys(ROWS))
/** Names of the dumps they come from. */
export const RECORDED_MACHINES: readonly string[] = Object.freeze(Object.keys(DIFFERENCES))

/** A dump as it was recorded. @throws CompositionError for a name that is none */
export function recordedMachine(name: string): MachineDescription {
  const differences = DIFFERENCES[name]
  if (!differences)
    throw new CompositionError(`machine "${name}" was not recorded; there are ${RECORDED_MACHINES.join(', ')}`)
  return describeMachine(decodeMachine(BASE, differences), name)
}

/**
 * A lab machine.
 * @param name e.g. `intel-sc`, or `q35-intel-sc`
 * @throws CompositionError for a name that is none, listing all
 */
export function labMachine(name: string): LabMachine {
  const short = name.replace(/^q35-/, '')
  const row = Object.hasOwn(ROWS, short) ? ROWS[short] : undefined
  if (!row) throw new CompositionError(`machine "${name}" is not known; there are ${LAB_MACHINES.join(', ')}`)
  const identityDefault = row.commandLine.endsWith('iommu=pt')
  return {
    name: short,
    qemu: row.qemu,
    commandLine: row.commandLine,
    description: { ...derive(recordedMachine(row.dump), row, identityDefault), name: `q35-${short}` },
    identityDefault,
    addressWidth: row.addressWidth ?? 48,
    limits: row.limits ?? [],
  }
}

/** The dump with the row's capability registers; with `iommu=pt` all groups are of type identity. */
function derive(dump: MachineDescription, row: LabRow, identityDefault: boolean): MachineDescription {
  const { iommu, groups } = dump
  return {
    ...dump,
    iommu: iommu?.kind === 'intel' ? { ...iommu, cap: row.cap ?? iommu.cap, ecap: row.ecap ?? iommu.ecap } : iommu,
    groups: identityDefault ? groups?.map((group) => ({ ...group, type: 'identity' })) : groups,
  }
}
