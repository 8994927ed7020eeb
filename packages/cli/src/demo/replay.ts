/** Chapter 4: recorded answers of hardware, and answers written from the specification, against this silicon. */
import { vtdCaseUnit } from '@ioasis/iommu-intel'
import {
  type CaseOutcome,
  closingLine,
  failureLines,
  playFile,
  readCaseFile,
  readDeviations,
  tally,
} from '@ioasis/testkit'
import { readText } from '../input.ts'
import type { Terminal } from '../terminal.ts'

/** What the silicon models today: legacy mode. */
const SELECTED = {
  intel: ['legacy-*', 'interrupt-window', 'fault-recording', 'invalidation', 'queued-invalidation'],
  'intel-spec': ['five-level/legacy-*', 'snoop/legacy-*', 'fault-recording'],
} as const

const data = (name: string): string =>
  readText(new URL(`testdata/hwcases/${name}.json.gz`, import.meta.resolve('@ioasis/testkit/package.json')))

/** Plays the cases and prints the count. @returns whether all agree */
export function replayCases(terminal: Terminal): boolean {
  const { line, style } = terminal
  line(style.title('4  Recorded hardware answers'))
  line(
    'Register writes, tables and DMA as recorded from QEMU 11.1.3, or written from the specification; every answer compared:',
  )
  const deviations = readDeviations(data('deviations'))
  const all: CaseOutcome[] = []
  for (const [name, select] of Object.entries(SELECTED)) {
    terminal.progress(`playing ${name} ...`)
    const outcomes = playFile(readCaseFile(data(name), name), {
      make: vtdCaseUnit,
      deviations,
      select,
      exactCaches: true,
    })
    terminal.progress('')
    line(`  ${name.padEnd(11)} ${closingLine(outcomes)}`)
    all.push(...outcomes)
  }
  for (const failure of failureLines(all)) line(style.bad(`  ${failure}`))
  const agrees = tally(all).failed === 0
  line((agrees ? style.good : style.bad)(`  together    ${closingLine(all)}`))
  return agrees
}
