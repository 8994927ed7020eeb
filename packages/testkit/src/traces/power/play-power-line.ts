/** Plays script lines of POWER machines. An operation without a row is an error. */
import { UapiError } from '@ioasis/core'
import type { StepOutcome } from '../outcome.ts'
import { TraceError } from '../trace-file.ts'
import { CONTAINER_OPERATIONS } from './container-operations.ts'
import { FILE_OPERATIONS } from './file-operations.ts'
import { KVM_OPERATIONS } from './kvm-operations.ts'
import { MEMORY_OPERATIONS } from './memory-operations.ts'
import { PowerLine, type RunPowerLine } from './power-line.ts'
import type { PowerProcess } from './power-process.ts'

const OPERATIONS: Readonly<Record<string, RunPowerLine>> = {
  ...FILE_OPERATIONS,
  ...CONTAINER_OPERATIONS,
  ...MEMORY_OPERATIONS,
  ...KVM_OPERATIONS,
}

/**
 * Plays one script line; a child's in a process that is forked for it and ends after it.
 * @throws TraceError for an operation or a key that is not known
 */
export function playPowerLine(src: string, process: PowerProcess): StepOutcome & { readonly op: string } {
  const line = new PowerLine(src, process)
  const run = Object.hasOwn(OPERATIONS, line.op) ? OPERATIONS[line.op] : undefined
  if (!run) throw new TraceError(`unknown operation "${line.op}"`)
  const result = (ret: number, errno: string | null): StepOutcome & { readonly op: string } => ({
    op: line.op,
    in: line.in,
    ret,
    errno,
    out: errno === null ? line.out : {},
  })
  try {
    return result(run(line) ?? 0, null)
  } catch (error) {
    if (error instanceof UapiError) return result(-1, error.errno)
    throw error
  } finally {
    if (line.child) line.process.calls.exit()
  }
}
