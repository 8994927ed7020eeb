/** An operation of a script line, as the rows of all operations take it. */
import type { ScriptLine } from './script-line.ts'
import type { TraceProcess } from './trace-process.ts'

/** What an operation found, while it runs. `out` may be filled before a refusal is thrown. */
export interface Operation {
  readonly line: ScriptLine
  readonly process: TraceProcess
  readonly in: Record<string, unknown>
  readonly out: Record<string, unknown>
  /** Set by loads and stores. */
  signal?: string | null
  /** Which of several steps of one script line this is, from 0. */
  readonly part: number
}
/** Runs it. @returns the result; a refusal is thrown as `UapiError` */
export type RunOperation = (operation: Operation) => number | void
