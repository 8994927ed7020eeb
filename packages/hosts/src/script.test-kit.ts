/** Plays lines of the script language on a lab machine, without a recording: what each did. */
import { playTraces, readTraces, type ScenarioOutcome } from '@ioasis/testkit'
import { labTraceMachine } from './lab-kernel.ts'

/** A line that was played. */
export type PlayedLine = ScenarioOutcome['played'][number]['ours']

/**
 * Plays lines in a process of its own on a fresh host, and audits the host after each.
 * @param machine `intel-sc.type1`
 * @param script one operation per line
 * @throws Error when a line cannot be played, or the host is not sound behind one
 */
export function playScript(machine: string, script: string): readonly PlayedLine[] {
  const lines = script.split('\n').map((line) => line.trim())
  const header = { scenario: 'script', title: 'script', machine }
  let count = 0
  const steps = lines
    .filter((src) => src !== '')
    .map((src) => {
      const op = src.split(/\s/)[0]
      if (op === 'sleep_ms') return { sleep_ms: Number(src.split(/\s+/)[1]) }
      return { step: ++count, op, in: {}, ret: 0, errno: null, out: {}, src }
    })
  const text = [header, ...steps, { end: true, steps: count }].map((line) => JSON.stringify(line)).join('\n')
  const [outcome] = playTraces(readTraces(text, 'script'), { make: (name) => labTraceMachine(name) })
  const broken = outcome?.differences.find(({ field }) => field === 'error' || field === 'audit')
  if (broken) throw new Error(`${broken.src}: ${broken.ours}`)
  return outcome?.played.map(({ ours }) => ours) ?? []
}

/** Of each line of one operation: its error, or `ok`. */
export const answersOf = (played: readonly PlayedLine[], op: string): readonly string[] =>
  played.filter((line) => line.op === op).map(({ errno }) => errno ?? 'ok')

/** Texts that files of sysfs showed, in order. */
export const textsOf = (played: readonly PlayedLine[]): readonly string[] =>
  played
    .filter(({ op }) => op === 'sysfs_read')
    .map(({ out }) => (typeof out['text'] === 'string' ? out['text'] : 'none'))

/** A device bound to a fresh context as `@dev`, with its id `$id` and an IOAS `$a`. */
export const bound = (alias: string): string => `
  open iommu /dev/iommu
  open dev cdev:${alias}
  IOMMU_IOAS_ALLOC @iommu -> a=out_ioas_id
  VFIO_DEVICE_BIND_IOMMUFD @dev iommufd=@iommu -> id=out_devid`
