/** MACHINE or DUMP on a command line: a lab machine's name, a machine file, or lspci text. */
import { existsSync } from 'node:fs'
import { CompositionError, type Host } from '@ioasis/core'
import {
  LAB_MACHINES,
  labMachine,
  type MachineDescription,
  machineHost,
  parseLspci,
  parseMachineFile,
  POWER_MACHINES,
  powerHost,
} from '@ioasis/hosts'
import { intelIommu } from '@ioasis/iommu-intel'
import { InputError, readText } from './input.ts'

/** A machine as a user named it. */
export interface NamedMachine {
  /** As given: a name or a path. */
  readonly argument: string
  readonly name: string
  /** Where it comes from, in a sentence. */
  readonly origin: string
  /** Functions as plain data; undefined: a POWER machine, of which there is no dump. */
  readonly description: MachineDescription | undefined
  /** The text is lspci's: which IOMMU there is was not told. */
  readonly dump: boolean
  /** What is not modelled, or had to be assumed. */
  readonly remarks: readonly string[]
  /** Composes it. @throws CompositionError */
  readonly make: () => Host
}

const NAMES: readonly string[] = [...LAB_MACHINES, ...POWER_MACHINES]

/** For `--help`. */
export const MACHINE_HELP: string = `lab machine (${NAMES.join(', ')}), a machine file (.json), or lspci -xxxx text`

/** @throws InputError, CompositionError: one line naming the file, the line or the value */
export function namedMachine(argument: string): NamedMachine {
  if (existsSync(argument)) return fromFile(argument)
  if (POWER_MACHINES.includes(argument)) return powerMachine(argument)
  if (!LAB_MACHINES.includes(argument.replace(/^q35-/, ''))) {
    throw new InputError(`"${argument}" is no file and no lab machine; there are ${NAMES.join(', ')}`)
  }
  const { description, limits } = labMachine(argument)
  const { name, origin, assumed } = description
  const remarks = [...limits, ...assumed]
  return { argument, name, origin, description, dump: false, remarks, make: () => machineHost(argument) }
}

/**
 * The machine as a host.
 * @throws InputError, CompositionError: one line that begins with what the user named
 */
export function hostOf({ argument, make }: NamedMachine): Host {
  try {
    return make()
  } catch (error) {
    if (!(error instanceof CompositionError) || error.message.startsWith(argument)) throw error
    throw new InputError(`${argument}: ${error.message}`)
  }
}

function fromFile(path: string): NamedMachine {
  const text = readText(path)
  const dump = !/\.json(\.gz)?$/.test(path) && !text.trimStart().startsWith('{')
  const description = dump ? parseLspci(text, path) : parseMachineFile(text, path)
  const { name, origin, assumed } = description
  // A dump tells of no IOMMU: it gets one, so that its groups can be told.
  const make = (): Host => (dump ? machineHost(description, { plugins: [intelIommu()] }) : machineHost(description))
  return { argument: path, name, origin, description, dump, remarks: assumed, make }
}

const powerMachine = (name: string): NamedMachine => ({
  argument: name,
  name,
  origin: 'QEMU 11.1.3, recorded with Linux 6.12',
  description: undefined,
  dump: false,
  remarks: ['configuration spaces of bridges and of the virtio function were not recorded'],
  make: () => powerHost(name),
})
