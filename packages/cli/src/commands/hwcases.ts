/** `ioasis hwcases`: plays recorded and hand-written hardware cases against the silicon. */
import { existsSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import {
  type CaseFile,
  type CaseOutcome,
  closingLine,
  type Deviations,
  exemptLines,
  failureLines,
  type Personality,
  playCase,
  readCaseFile,
  readDeviations,
  selected,
  tally,
} from '@ioasis/testkit'
import { Command, Option } from 'commander'
import { CASE_UNITS } from '../case-units.ts'
import { InputError, readJson } from '../input.ts'
import { type Terminal, toJson } from '../terminal.ts'

interface Options {
  readonly group?: readonly string[]
  readonly personality: Personality
  readonly exempt?: true
  readonly json?: true
}

const DEVIATIONS = ['deviations.json', 'deviations.json.gz']

/** Builds the sub-command. */
export const hwcases = (terminal: Terminal): Command =>
  new Command('hwcases')
    .summary('Play recorded hardware answers against the silicon.')
    .description(
      'Play hardware cases against the silicon. A deviations.json beside a file says which cases to leave out.',
    )
    .argument('<file...>', 'case files, plain or .gz')
    .option(
      '-g, --group <pattern>',
      'play NAME or NAME/GLOB only; may be repeated',
      (one, all: string[] | undefined) => [...(all ?? []), one],
    )
    .addOption(
      new Option('-p, --personality <whose>', 'whose answer is asserted where the specification leaves a choice')
        .choices(['specification', 'qemu'])
        .default('specification'),
    )
    .option('--exempt', 'list the cases that were left out, with the reason')
    .option('--json', 'print outcomes as JSON')
    .addHelpText(
      'after',
      `
The closing line counts: cases that were asserted, those of them that failed, and cases that were left out (exempt).

Examples:
  ioasis hwcases intel.json --group legacy-walk --group 'invalidation/reg-*'
  ioasis hwcases intel.json.gz --personality qemu --exempt`,
    )
    .action((paths: string[], options: Options) => {
      // A shell's * names the deviations as well; they are read with the files beside them.
      const files = paths.filter((path) => !DEVIATIONS.includes(basename(path))).map((path) => readCases(path))
      for (const pattern of options.group ?? []) {
        if (!files.some(({ file }) => file.cases.some((one) => selected(one, [pattern]))))
          throw new InputError(`--group: no case matches "${pattern}"`)
      }
      const outcomes = files.flatMap((file) => playFile(file, options, terminal))
      terminal.progress('')
      report(outcomes, options, terminal)
      if (tally(outcomes).failed > 0) process.exitCode = 1
    })

/** A case file with what stands beside it. */
interface PlayableFile {
  readonly file: CaseFile
  readonly deviations: Deviations
}

function readCases(path: string): PlayableFile {
  const file = named(path, () => readCaseFile(readJson(path), path))
  return { file, deviations: readDeviationsBeside(path) }
}

function playFile({ file, deviations }: PlayableFile, options: Options, terminal: Terminal): CaseOutcome[] {
  const make = CASE_UNITS[file.iommu]
  const cases = file.cases.filter((one) => selected(one, options.group))
  return cases.map((one, i) => {
    terminal.progress(`${file.name}: ${i + 1} of ${cases.length} ${one.group}/${one.name}`)
    return playCase(file, one, { make, personality: options.personality, deviations, exactCaches: true })
  })
}

function readDeviationsBeside(path: string): Deviations {
  const found = DEVIATIONS.map((name) => join(dirname(path), name)).find((p) => existsSync(p))
  if (!found) return new Map()
  const list = readJson(found)
  return named(found, () => readDeviations(list))
}

/** Puts the file's name before what `read` refuses. */
function named<T>(path: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (error instanceof InputError) throw error
    throw new InputError(`${path}: ${(error as Error).message}`)
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
