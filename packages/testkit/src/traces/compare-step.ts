/**
 * Compares a recorded step with what our host did: every value, but for what varies from run to run. A pure function of the
 * two, so that it can be tried with altered recordings.
 */
import type { StepOutcome } from './outcome.ts'
import { comparableText } from './text-dumps.ts'
import type { TraceStep } from './trace-file.ts'

/** One value that is not as recorded. */
export interface StepDifference {
  /** `op`, `ret`, `errno`, `signal`, `in.NAME`, `out.NAME`; from the player `error` and `audit`. */
  readonly field: string
  readonly recorded: string
  readonly ours: string
}

/** How a step is to be compared. */
export interface CompareHow {
  /** The locked memory of a process under type1 has a base that is the harness's own. */
  readonly lockedVaries?: boolean
}

/** @returns differences in the order of the trace's fields; empty: as recorded */
export function compareStep(
  recorded: TraceStep,
  ours: StepOutcome & { readonly op: string },
  how: CompareHow = {},
): readonly StepDifference[] {
  return [
    ...compareValue('op', recorded.op, ours.op),
    ...compareFields('in', recorded.in, ours.in, () => undefined),
    ...compareValue('ret', recorded.ret, ours.ret),
    ...compareValue('errno', recorded.errno, ours.errno),
    ...compareValue('signal', recorded.signal, ours.signal),
    ...compareFields('out', recorded.out, ours.out, (name) => ruleOf(recorded, name, how)),
  ]
}

/** How two values of one kind are compared. */
interface Rule {
  same(recorded: unknown, ours: unknown): boolean
  /** Brings a value into the form that is compared. */
  form?(value: unknown): unknown
}
type Values = Readonly<Record<string, unknown>>

function compareFields(
  part: string,
  recorded: Values,
  ours: Values,
  rule: (name: string) => Rule | undefined,
): StepDifference[] {
  const names = new Set([...Object.keys(recorded), ...Object.keys(ours)])
  return [...names].flatMap((name) => compareValue(`${part}.${name}`, recorded[name], ours[name], rule(name)))
}

const EXACT: Rule = { same }

function compareValue(field: string, recorded: unknown, ours: unknown, rule: Rule = EXACT): StepDifference[] {
  const form = (value: unknown): unknown => (rule.form ? rule.form(value) : value)
  const [a, b] = [form(recorded), form(ours)]
  if (rule.same(a, b)) return []
  const [left, right] = typeof a === 'string' && typeof b === 'string' ? firstDifference(a, b) : [a, b]
  return [{ field, recorded: text(left), ours: text(right) }]
}

/** Of long texts the first line that differs is told. */
function firstDifference(a: string, b: string): readonly [string, string] {
  const [first, second] = [a.split('\n'), b.split('\n')]
  if (first.length === 1 && second.length === 1) return [a, b]
  let i = 0
  while (first[i] === second[i]) i++
  const line = (lines: readonly string[]): string => (i < lines.length ? `line ${i + 1}: ${lines[i]}` : 'the end')
  return [line(first), line(second)]
}

/** JSON values: lists in order, objects by name. */
function same(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a) !== Array.isArray(b)) return false
  const names = new Set([...Object.keys(a), ...Object.keys(b)])
  return [...names].every((name) => same((a as Values)[name], (b as Values)[name]))
}

const text = (value: unknown): string => (value === undefined ? 'nothing' : JSON.stringify(value))

/** What varies between runs, once and for all. */
function ruleOf(step: TraceStep, name: string, how: CompareHow): Rule | undefined {
  if (step.op === 'sysfs_read' && name === 'text') {
    const path = String(step.in['path'])
    return { same, form: (value) => (typeof value === 'string' ? comparableText(path, value) : value) }
  }
  if (step.op === 'env' && name === 'memlock_locked_kb' && how.lockedVaries) {
    return { same: (a, b) => typeof a === typeof b }
  }
  if (name === 'data' && typeof step.out['data'] === 'string' && step.out['data'].includes('<fd>')) {
    return { same: newDescriptor }
  }
  return undefined
}

/** `<fd>` among hexadecimal digits stands for four bytes that hold a new descriptor. */
function newDescriptor(recorded: unknown, ours: unknown): boolean {
  if (typeof recorded !== 'string' || typeof ours !== 'string') return false
  const [before = '', after = ''] = recorded.split('<fd>', 2)
  const digits = ours.slice(before.length, ours.length - after.length)
  return ours.startsWith(before) && ours.endsWith(after) && /^[0-9a-f]{4}0000$/.test(digits)
}
