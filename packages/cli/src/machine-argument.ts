/** MACHINE or DUMP on a command line: a lab machine's name, a machine file, or lspci text. */
import { existsSync } from 'node:fs'
import { LAB_MACHINES, labMachine, type MachineDescription, parseLspci, parseMachineFile } from '@ioasis/hosts'
import { InputError, readText } from './input.ts'

/** A machine as a user named it. */
export interface NamedMachine {
  /** As given: a name or a path. */
  readonly argument: string
  readonly description: MachineDescription
  /** Give it to `machineHost`. */
  readonly source: string | MachineDescription
  /** The text is lspci's: which IOMMU there is was not told. */
  readonly dump: boolean
  /** What is not modelled, or had to be assumed. */
  readonly remarks: readonly string[]
}

/** For `--help`. */
export const MACHINE_HELP: string = `lab machine (${LAB_MACHINES.join(', ')}), a machine file (.json), or lspci -xxxx text`

/** @throws InputError, CompositionError: one line naming the file, the line or the value */
export function namedMachine(argument: string): NamedMachine {
  if (existsSync(argument)) return fromFile(argument)
  if (!LAB_MACHINES.includes(argument.replace(/^q35-/, ''))) {
    throw new InputError(`"${argument}" is no file and no lab machine; there are ${LAB_MACHINES.join(', ')}`)
  }
  const { description, limits } = labMachine(argument)
  return { argument, description, source: argument, dump: false, remarks: [...limits, ...description.assumed] }
}

function fromFile(path: string): NamedMachine {
  const text = readText(path)
  const dump = !/\.json(\.gz)?$/.test(path) && !text.trimStart().startsWith('{')
  const description = dump ? parseLspci(text, path) : parseMachineFile(text, path)
  return { argument: path, description, source: description, dump, remarks: description.assumed }
}
