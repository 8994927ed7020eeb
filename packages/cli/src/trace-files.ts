/**
 * DIR and FILE on a command line that name recorded traces. A machine folder holds `machine.json` or `topology.txt` with traces
 * below or beside it; a DIR holds such folders, is one, or is an area of one. Links are followed, other folders passed over.
 */
import { existsSync, readdirSync, realpathSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { isPowerTrace, readPowerTraces, readTraces, TraceError, type TraceScenario } from '@ioasis/testkit'
import { InputError, readText } from './input.ts'

const MARKS = ['machine.json', 'topology.txt']
const TRACE = /\.jsonl(?:\.gz)?$/
/** Firmware calls of a scenario, recorded beside its steps: no steps themselves. */
const FIRMWARE = /\.hcalls\.jsonl(?:\.gz)?$/

/** Traces to play, and of each machine those that were recorded before them. */
export interface NamedTraces {
  readonly scenarios: readonly TraceScenario[]
  /** Machine folders found on the way whose traces are of another format, each with the reason. */
  readonly unread: ReadonlyMap<string, string>
  /** Recorded before a scenario on its machine, and not asked for. */
  before(scenario: TraceScenario): readonly TraceScenario[]
}

/** @throws InputError for a path that is not there, holds no traces, or a trace that cannot be read */
export function namedTraces(paths: readonly string[]): NamedTraces {
  const unread = new Map<string, string>()
  const sources = new Map<TraceScenario, string>()
  const chosen = new Set<string>()
  for (const { folder, files } of paths.flatMap((path) => foldersOf(path))) {
    try {
      for (const file of files.filter((one) => !chosen.has(one))) {
        for (const scenario of scenariosOf(file)) sources.set(scenario, file)
        chosen.add(file)
      }
    } catch (error) {
      if (folder === undefined || !(error instanceof InputError)) throw error
      unread.set(folder, error.message)
    }
  }
  const earlier = new Map<string, readonly (readonly [string, readonly TraceScenario[]])[]>()
  return {
    scenarios: [...sources.keys()],
    unread,
    before: (scenario) => {
      const file = sources.get(scenario) as string
      const machine = machineOf(dirname(file))
      if (!machine) return []
      const others = earlier.get(machine) ?? settingFiles(machine, chosen)
      earlier.set(machine, others)
      return others.flatMap(([other, found]) => (other < file ? found : []))
    },
  }
}

interface FoundTraces {
  /** The machine folder they were found in on the way; undefined: they were asked for by name. */
  readonly folder: string | undefined
  readonly files: readonly string[]
}

function foldersOf(path: string): readonly FoundTraces[] {
  if (!existsSync(path)) throw new InputError(`${path}: no such file or folder`)
  const real = resolve(path)
  if (!statSync(real).isDirectory()) return [{ folder: undefined, files: [real] }]
  if (machineOf(real) !== undefined) {
    const files = tracesBelow(real)
    if (files.length > 0) return [{ folder: undefined, files }]
    throw new InputError(`${path}: no traces (.jsonl)`)
  }
  const found = machinesBelow(real).map((folder) => ({ folder, files: tracesBelow(folder) }))
  if (found.some(({ files }) => files.length > 0)) return found
  throw new InputError(`${path}: no machine folder, which has ${MARKS.join(' or ')} and traces`)
}

const isMachine = (folder: string): boolean => MARKS.some((mark) => existsSync(join(folder, mark)))

/** The machine folder that a folder is or lies in: an area lies in it directly. */
function machineOf(folder: string): string | undefined {
  return [folder, dirname(folder)].find((one) => isMachine(one))
}

function machinesBelow(folder: string, seen: Set<string> = new Set()): readonly string[] {
  return foldersIn(folder, seen).flatMap((one) => (isMachine(one) ? [one] : machinesBelow(one, seen)))
}

/** Traces in a folder and below, in the order in which they were recorded: by name. */
function tracesBelow(folder: string, seen: Set<string> = new Set()): readonly string[] {
  const here = readdirSync(folder)
    .filter((name) => TRACE.test(name) && !FIRMWARE.test(name))
    .map((name) => join(folder, name))
  return [...here, ...foldersIn(folder, seen).flatMap((one) => tracesBelow(one, seen))].toSorted(byName)
}
const byName = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** Folders in a folder, links followed, each once. */
function foldersIn(folder: string, seen: Set<string>): readonly string[] {
  return readdirSync(folder)
    .toSorted(byName)
    .map((name) => join(folder, name))
    .filter((path) => existsSync(path) && statSync(path).isDirectory())
    .filter((path) => {
      const real = realpathSync(path)
      if (seen.has(real)) return false
      seen.add(real)
      return true
    })
}

function scenariosOf(file: string): readonly TraceScenario[] {
  try {
    const text = readText(file)
    if (!isPowerTrace(text)) return readTraces(text, file)
    return readPowerTraces(text, { scenario: nameOf(file), machine: machineName(file) }, file)
  } catch (error) {
    if (error instanceof TraceError) throw new InputError(error.message)
    throw error
  }
}

const nameOf = (file: string): string => basename(file).replace(TRACE, '')
/** Traces without a head: the machine is the folder. */
const machineName = (file: string): string => basename(machineOf(dirname(file)) ?? dirname(file))

/** Traces of a machine that were not asked for and write to sysfs. */
function settingFiles(
  machine: string,
  chosen: ReadonlySet<string>,
): readonly (readonly [string, readonly TraceScenario[]])[] {
  return tracesBelow(machine)
    .filter((file) => !chosen.has(file) && readText(file).includes('"sysfs_write"'))
    .map((file) => [file, scenariosOf(file)])
}
