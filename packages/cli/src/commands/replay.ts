/** `ioasis replay`: plays what a real kernel answered, and tells every value that is not the same here. */
import { CompositionError, IoctlTable, Strace } from '@ioasis/core'
import { labTraceMachine } from '@ioasis/hosts'
import {
  traceDifferenceLine,
  type TracePlayOptions,
  playTraces,
  type ScenarioOutcome,
  tallyTraces,
  traceClosingLine,
  type TraceScenario,
} from '@ioasis/testkit'
import { Command } from 'commander'
import { type NamedTraces, namedTraces } from '../trace-files.ts'
import { type Terminal, toJson } from '../terminal.ts'

interface Options {
  readonly strace?: true
  readonly exempt?: true
  readonly json?: true
}

/** Builds the sub-command. */
export const replay = (terminal: Terminal): Command =>
  new Command('replay')
    .description('Play recorded traces on the machine and kernel they were recorded on, and compare every answer.')
    .argument('<path...>', 'folders that hold machine folders, machine folders, areas of one, or trace files')
    .option('--strace', 'print each call with its struct, as strace does')
    .option('--exempt', 'list the values that do not count, with the reason')
    .option('--json', 'print as JSON')
    .action((paths: string[], options: Options) => {
      const traces = namedTraces(paths)
      const { playable, refused } = split(traces.scenarios)
      const from = performance.now()
      const outcomes = play(traces, playable, options, terminal)
      report(outcomes, (performance.now() - from) / 1000, options, terminal)
      for (const [folder, why] of traces.unread) terminal.error(`ioasis: ${folder}: not played: ${why}`)
      for (const [machine, why] of refused) terminal.error(`ioasis: ${machine}: not played: ${why}`)
      if (tallyTraces(outcomes).differences > 0) process.exitCode = 1
      else if (refused.size + traces.unread.size > 0) process.exitCode = 2
    })

/** Machines that cannot be composed are told, the others are played. */
function split(scenarios: readonly TraceScenario[]): {
  readonly playable: readonly TraceScenario[]
  readonly refused: ReadonlyMap<string, string>
} {
  const refused = new Map<string, string>()
  const known = new Set<string>()
  for (const { machine } of scenarios) {
    if (known.has(machine) || refused.has(machine)) continue
    try {
      labTraceMachine(machine).host.close()
      known.add(machine)
    } catch (error) {
      if (!(error instanceof CompositionError)) throw error
      refused.set(machine, error.message)
    }
  }
  return { playable: scenarios.filter(({ machine }) => known.has(machine)), refused }
}

function play(
  traces: NamedTraces,
  scenarios: readonly TraceScenario[],
  { strace, json }: Options,
  terminal: Terminal,
): readonly ScenarioOutcome[] {
  let played = 0
  const outcomes = playTraces(scenarios, {
    make: (machine) => labTraceMachine(machine),
    before: (scenario) => traces.before(scenario),
    onScenario: ({ machine, scenario, title }) => {
      terminal.progress(`${++played} of ${scenarios.length}  ${machine}  ${scenario}`)
      if (strace && !json)
        terminal.line(terminal.style.title(`${machine} ${scenario}`) + terminal.style.dim(`  ${title}`))
    },
    ...(strace && !json ? { onStep: printCalls(terminal) } : {}),
  })
  terminal.progress('')
  return outcomes
}

/** Prints the script line of each step, and each call that it makes. */
function printCalls({ line, style }: Terminal): NonNullable<TracePlayOptions['onStep']> {
  return ({ step, src }, { calls, world }) => {
    calls.observer ??= new Strace(world.host.all(IoctlTable), (text) => {
      line(`  ${text}`)
    })
    line(style.dim(`${String(step).padStart(3)}  ${src}`))
  }
}

function report(
  outcomes: readonly ScenarioOutcome[],
  seconds: number,
  { json, exempt }: Options,
  { line, style }: Terminal,
): void {
  const all = outcomes.flatMap((o) => o.differences)
  if (json) {
    line(toJson({ ...tallyTraces(outcomes), details: all }))
    return
  }
  for (const difference of all) {
    if (difference.exempt === undefined) line(style.bad(traceDifferenceLine(difference)))
    else if (exempt) line(style.dim(`${traceDifferenceLine(difference)} (exempt: ${difference.exempt})`))
  }
  line(style.dim(`played in ${seconds.toFixed(1)} s, the audit after every step`))
  line(traceClosingLine(outcomes))
}
