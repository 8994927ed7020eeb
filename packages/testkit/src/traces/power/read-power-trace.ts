/**
 * The second format of recorded traces, of POWER machines: steps alone, one JSON object a line, without a head and an end; the
 * scenario's name is the file's. Several in one file are told apart by a line `{ scenario, machine, dialect }` before each.
 * Steps of a child process say so, kernel messages stand beside each step.
 */
import { type Fields, TraceError, type TraceScenario, type TraceStep } from '../trace-file.ts'

/** What a trace without a head is called. */
export interface PowerTraceName {
  /** `08-v2-lifecycle`. */
  readonly scenario: string
  /** `powernv10-64k`. */
  readonly machine: string
}

/** Whether a text is in this format: it begins with a step, or with a head that says so. */
export const isPowerTrace = (text: string): boolean => /^\s*\{\s*"step"\s*:|^[^\n]*"dialect"\s*:\s*"power"/.test(text)

/**
 * Reads one trace, or several in a row.
 * @param text JSON lines
 * @param name of a trace without a head
 * @param source for messages: the file's name
 * @throws TraceError for a line that does not fit or a step that is missing
 */
export function readPowerTraces(text: string, name: PowerTraceName, source: string): readonly TraceScenario[] {
  const found: { readonly name: PowerTraceName; readonly lines: TraceStep[] }[] = []
  text.split('\n').forEach((line, i) => {
    if (line.trim() === '') return
    const where = `${source}:${i + 1}`
    const value = parsed(line, where)
    if (typeof value['scenario'] === 'string')
      found.push({ name: { scenario: value['scenario'], machine: String(value['machine']) }, lines: [] })
    else {
      if (found.length === 0) found.push({ name, lines: [] })
      const { lines } = found.at(-1) as (typeof found)[0]
      lines.push(readStep(value, lines.length + 1, where))
    }
  })
  if (found.length === 0) throw new TraceError(`${source}: no step`)
  return found.map(({ name: { scenario, machine }, lines }) => ({
    scenario,
    machine,
    title: scenario.replace(/^\d+-/, '').replaceAll('-', ' '),
    dialect: 'power',
    lines,
  }))
}

/** Reads one trace without a head. @throws TraceError as `readPowerTraces` */
export function readPowerTrace(text: string, scenario: string, machine: string, source: string): TraceScenario {
  return readPowerTraces(text, { scenario, machine }, source)[0] as TraceScenario
}

function readStep(value: Fields, next: number, where: string): TraceStep {
  const { step, op, ret, errno, src } = value
  if (typeof op !== 'string' || typeof src !== 'string' || typeof ret !== 'number')
    throw new TraceError(`${where}: a step has an operation, a result and its script line`)
  if (step !== next) throw new TraceError(`${where}: step ${String(step)} where ${next} is next`)
  if (typeof errno !== 'string' && errno !== null) throw new TraceError(`${where}: "errno" is missing`)
  return {
    kind: 'step',
    step: next,
    op,
    in: fields(value, 'in', where),
    ret,
    errno,
    out: fields(value, 'out', where),
    src,
  }
}

function parsed(line: string, where: string): Fields {
  try {
    const value: unknown = JSON.parse(line)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields
  } catch {
    // told below
  }
  throw new TraceError(`${where}: not an object in JSON: ${line.slice(0, 60)}`)
}

function fields(value: Fields, key: string, where: string): Fields {
  const found = value[key]
  if (typeof found === 'object' && found !== null && !Array.isArray(found)) return found as Fields
  throw new TraceError(`${where}: "${key}" is no object`)
}
