/** Reads the words of a script line. */
import type { ScriptLine } from './script-line.ts'
import { TraceError } from './trace-file.ts'

/** @throws TraceError when the line has no such word */
export function word(line: ScriptLine, index: number): string {
  const found = line.words[index]
  if (found === undefined) throw new TraceError(`${line.op}: word ${index + 1} is missing`)
  return found
}
