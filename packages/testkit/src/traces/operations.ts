/** One row for each operation of scripts that is not an ioctl. An operation without a row is an error. */
import { UapiError } from '@ioasis/core'
import { FILE_OPERATIONS } from './file-operations.ts'
import { isIoctl, playIoctl } from './ioctl-step.ts'
import { MACHINE_OPERATIONS } from './machine-operations.ts'
import { MEMORY_OPERATIONS } from './memory-operations.ts'
import type { Operation, RunOperation } from './operation.ts'
import type { StepOutcome } from './outcome.ts'
import { parseScriptLine } from './script-line.ts'
import { TraceError } from './trace-file.ts'
import type { TraceProcess } from './trace-process.ts'

/** How traces call an operation of a script. */
const TRACE_NAMES: Readonly<Record<string, string>> = {
  drv: 'driver',
  sysfs_r: 'sysfs_read',
  sysfs_w: 'sysfs_write',
  mr: 'mem_read',
  mw: 'mem_write',
  probe: 'probe_arm',
  hits: 'probe_hits',
}
const OPERATIONS: Readonly<Record<string, RunOperation>> = {
  ...FILE_OPERATIONS,
  ...MEMORY_OPERATIONS,
  ...MACHINE_OPERATIONS,
}

/** Whether the player knows an operation, by the name scripts give it. */
export const isKnownOperation = (op: string): boolean => isIoctl(op) || Object.hasOwn(OPERATIONS, op)

/**
 * Plays one script line.
 * @param part which of several steps of the line
 * @returns the trace's name of the operation and what it did
 * @throws TraceError for an operation, a name or a call that is not known
 */
export function playLine(src: string, part: number, process: TraceProcess): StepOutcome & { readonly op: string } {
  const line = parseScriptLine(src)
  const op = TRACE_NAMES[line.op] ?? line.op
  if (isIoctl(line.op)) return { op, ...playIoctl(line, process) }
  const run = Object.hasOwn(OPERATIONS, line.op) ? OPERATIONS[line.op] : undefined
  if (!run) throw new TraceError(`unknown operation "${line.op}"`)
  const operation: Operation = { line, process, in: {}, out: {}, part }
  const result = (ret: number, errno: string | null): StepOutcome & { readonly op: string } => {
    const { in: inputs, out, signal } = operation
    const base = { op, in: inputs, ret, errno, out }
    return signal === undefined ? base : { ...base, ret: signal === null ? ret : -1, signal }
  }
  try {
    return result(run(operation) ?? 0, null)
  } catch (error) {
    if (error instanceof UapiError) return result(-1, error.errno)
    throw error
  }
}
