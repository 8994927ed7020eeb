/** Chapter 5: recorded answers of hardware and of a kernel, and answers written from the specification, against this host. */
import { labTraceMachine } from '@ioasis/hosts'
import {
  type CaseOutcome,
  closingLine,
  failureLines,
  playFile,
  playTraces,
  readCaseFile,
  readDeviations,
  readTraces,
  type ScenarioOutcome,
  tally,
  tallyTraces,
  traceClosingLine,
  traceDifferenceLine,
} from '@ioasis/testkit'
import { CASE_UNITS } from '../case-units.ts'
import { readText } from '../input.ts'
import type { Terminal } from '../terminal.ts'

/** Cases of what the silicon models: of VT-d legacy mode, of AMD-Vi everything. */
const SELECTED = {
  amd: ['*'],
  'amd-spec': ['*'],
  intel: ['legacy-*', 'interrupt-window', 'fault-recording', 'invalidation', 'queued-invalidation'],
  'intel-spec': ['five-level/legacy-*', 'snoop/legacy-*', 'fault-recording'],
} as const

/** Machine and kernel of the recorded traces. */
const TRACED = ['intel.type1', 'intel-sc.compat', 'amd.type1']

const data = (path: string): string =>
  readText(new URL(`testdata/${path}.gz`, import.meta.resolve('@ioasis/testkit/package.json')))

/** Plays both and prints the counts. @returns whether all agree */
export function replayAll(terminal: Terminal): boolean {
  const { line, style } = terminal
  line(style.title('5  Recorded answers'))
  const hardware = replayCases(terminal)
  const kernel = replayTraces(terminal)
  return hardware && kernel
}

function replayCases(terminal: Terminal): boolean {
  const { line, style } = terminal
  line('The silicon: register writes, tables and DMA as recorded from QEMU 11.1.3, or written from the specification.')
  const deviations = readDeviations(data('hwcases/deviations.json'))
  const all: CaseOutcome[] = []
  for (const [name, select] of Object.entries(SELECTED)) {
    terminal.progress(`playing ${name} ...`)
    const file = readCaseFile(data(`hwcases/${name}.json`), name)
    const outcomes = playFile(file, {
      make: CASE_UNITS[file.iommu],
      deviations,
      select,
      exactCaches: true,
    })
    terminal.progress('')
    line(`  ${name.padEnd(16)} ${closingLine(outcomes)}`)
    all.push(...outcomes)
  }
  for (const failure of failureLines(all)) line(style.bad(`  ${failure}`))
  return tally(all).failed === 0
}

function replayTraces(terminal: Terminal): boolean {
  const { line, style } = terminal
  line('The kernel: each call of recorded programs again, every result, errno and field that Linux 7.2 gave compared.')
  const all: ScenarioOutcome[] = []
  for (const name of TRACED) {
    terminal.progress(`playing ${name} ...`)
    const outcomes = playTraces(readTraces(data(`traces/${name}.jsonl`), name), {
      make: (machine) => labTraceMachine(machine),
      audit: false,
    })
    terminal.progress('')
    line(`  ${name.padEnd(16)} ${traceClosingLine(outcomes)}`)
    all.push(...outcomes)
  }
  line(style.dim('  "ioasis replay DIR" also audits the whole host after every step.'))
  const differences = all.flatMap((o) => o.differences).filter((d) => d.exempt === undefined)
  for (const difference of differences) line(style.bad(`  ${traceDifferenceLine(difference)}`))
  const agrees = tallyTraces(all).differences === 0
  line((agrees ? style.good : style.bad)(traceClosingLine(all)))
  return agrees
}
