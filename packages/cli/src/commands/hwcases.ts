/** `ioasis hwcases`: plays recorded and hand-written hardware cases against the silicon. */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { vtdCaseUnit } from '@ioasis/iommu-intel'
import {
  type CaseFile,
  type CaseOutcome,
  closingLine,
  type Deviations,
  exemptLines,
  failureLines,
  type MakeCaseUnit,
  type Personality,
  playCase,
  readCaseFile,
  readDeviations,
  selected,
  tally,
} from '@ioasis/testkit'
import { Command, Option } from 'commander'
import { InputError, readText } from '../input.ts'
import { type Terminal, toJson } from '../terminal.ts'

/** The silicon that plays the cases of a file, by the file's `iommu`. */
const UNITS: Readonly<Record<string, MakeCaseUnit>> = { intel: vtdCaseUnit }

interface Options {
  readonly group: readonly string[]
  readonly personality: Personality
  readonly exempt?: true
  readonly json?: true
}

/** Builds the sub-command. */
export const hwcases = (terminal: Terminal): Command =>
  new Command('hwcases')
    .description(
      'Play hardware cases against the silicon. A deviations.json beside a file says which cases to leave out.',
    )
    .argument('<file...>', 'case files, plain or .gz')
    .option(
      '-g, --group <pattern>',
      'play NAME or NAME/GLOB only; may be repeated',
      (one, all: string[]) => [...all, one],
      [],
    )
    .addOption(
      new Option('-p, --personality <whose>', 'where the specification leaves a choice')
        .choices(['specification', 'qemu'])
        .default('specification'),
    )
    .option('--exempt', 'list the cases that were left out, with the reason')
    .option('--json', 'print outcomes as JSON')
    .action((paths: string[], options: Options) => {
      const outcomes = paths.flatMap((path) => playPath(path, options, terminal))
      terminal.progress('')
      if (outcomes.length === 0) throw new InputError(`no case matches ${options.group.join(', ')}`)
      report(outcomes, options, terminal)
      if (tally(outcomes).failed > 0) process.exitCode = 1
    })

function playPath(path: string, { group, personality }: Options, terminal: Terminal): CaseOutcome[] {
  const file = readCases(path)
  const make = UNITS[file.iommu]
  if (!make)
    throw new InputError(
      `${path}: there is no ${file.iommu} silicon yet; cases of ${Object.keys(UNITS).join(', ')} can be played`,
    )
  const cases = file.cases.filter((one) => selected(one, group))
  const deviations = readDeviationsBeside(path)
  return cases.map((one, i) => {
    terminal.progress(`${file.name}: ${i + 1} of ${cases.length} ${one.group}/${one.name}`)
    return playCase(file, one, { make, personality, deviations, exactCaches: true })
  })
}

function readCases(path: string): CaseFile {
  const text = readText(path)
  try {
    return readCaseFile(text, path)
  } catch (error) {
    throw new InputError((error as Error).message)
  }
}

function readDeviationsBeside(path: string): Deviations {
  const found = ['deviations.json', 'deviations.json.gz']
    .map((name) => join(dirname(path), name))
    .find((p) => existsSync(p))
  if (!found) return new Map()
  try {
    return readDeviations(readText(found))
  } catch (error) {
    throw new InputError(`${found}: ${(error as Error).message}`)
  }
}

function report(outcomes: readonly CaseOutcome[], options: Options, { line, style }: Terminal): void {
  if (options.json) {
    line(toJson({ ...tally(outcomes), outcomes }))
    return
  }
  for (const failure of failureLines(outcomes)) line(style.bad(failure))
  if (options.exempt) for (const exempt of exemptLines(outcomes)) line(style.dim(exempt))
  line(closingLine(outcomes))
}
