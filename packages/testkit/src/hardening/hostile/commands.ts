/** The commands of a host, and what recordings say about each. */
import { type AnyIoctlCall, IoctlTable } from '@ioasis/core'
import type { IoctlOperation } from '../../traces/ioctl-operation.ts'
import { IOCTL_OPERATIONS } from '../../traces/ioctl-operations.ts'
import { parseScriptLine } from '../../traces/script-line.ts'
import type { TraceScenario } from '../../traces/trace-file.ts'
import type { TraceWorld } from '../../traces/trace-world.ts'

/** One ioctl, or one sub-operation of one. */
export interface Command {
  readonly name: string
  readonly call: AnyIoctlCall
  /** Kinds of files that answer it. */
  readonly files: ReadonlySet<string>
  /** Second word of the struct that makes it this one. */
  readonly sub?: number
}

/** Where sub-operations have their number: behind the size. */
export const SUB_OFFSET = 4

const operationOf = (op: string): IoctlOperation | undefined =>
  Object.hasOwn(IOCTL_OPERATIONS, op) ? IOCTL_OPERATIONS[op] : undefined

/** The call that a line of a script makes. @returns undefined: it makes none, or several */
export function callOfLine(src: string): string | undefined {
  const { op } = parseScriptLine(src)
  const operation = operationOf(op)
  return operation && (operation.call ?? op)
}

/** Every row of every table of the host, and the sub-operations that scripts know. */
export function commandsOf(world: TraceWorld): readonly Command[] {
  const found = new Map<string, { name: string; call: AnyIoctlCall; files: Set<string>; sub?: number }>()
  for (const { file, rows } of world.host.all(IoctlTable)) {
    for (const { call } of rows) {
      const known = found.get(call.name)
      if (known) known.files.add(file)
      else found.set(call.name, { name: call.name, call, files: new Set([file]) })
    }
  }
  const rows = [...found.values()]
  for (const { call: name, preset } of Object.values(IOCTL_OPERATIONS)) {
    const call = name === undefined ? undefined : world.calls.get(name)
    const owner = rows.find((row) => row.call.number === call?.number)
    const sub = preset?.['op']
    if (call && owner && sub !== undefined) found.set(call.name, { name: call.name, call, files: owner.files, sub })
  }
  return [...found.values()]
}

/** Names of errors by command, of all recordings. */
export function recordedErrors(scenarios: readonly TraceScenario[]): ReadonlyMap<string, ReadonlySet<string>> {
  const found = new Map<string, Set<string>>()
  for (const line of scenarios.flatMap(({ lines }) => lines)) {
    if (line.kind !== 'step' || line.errno === null) continue
    const name = callOfLine(line.src)
    if (name === undefined) continue
    const errors = found.get(name) ?? new Set()
    found.set(name, errors.add(line.errno))
  }
  return found
}
