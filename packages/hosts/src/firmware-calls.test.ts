/** What the pseries kernel asks of its hypervisor, call for call, against QEMU's log of the same scenarios. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { type FirmwareCall, FirmwareCalls } from '@ioasis/iommu-spapr'
import { playTraces, readPowerTrace, traceDifferenceLine } from '@ioasis/testkit'
import { describe, expect, test } from 'vitest'
import { labTraceMachine } from './lab-kernel.ts'

interface Recorded extends Readonly<Record<string, string | number>> {
  readonly call: string
}
interface Scenario {
  readonly scenario: string
  readonly steps: string
  readonly calls: readonly Recorded[]
}

const MACHINE = 'pseries-hcall'
const FILE = new URL(`testdata/hcalls/${MACHINE}.jsonl.gz`, import.meta.resolve('@ioasis/testkit/package.json'))
const SCENARIOS: readonly Scenario[] = gunzipSync(readFileSync(fileURLToPath(FILE)))
  .toString()
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Scenario)

/** The last call of boot: the kernel's own window of the function that virtio-pci had. */
const boot = (calls: readonly Recorded[]): number => calls.findIndex(({ call }) => call === 'H_PUT_TCE_INDIRECT') + 1

const big = (value: unknown): bigint => BigInt(value as string)
/** What of an entry is the same on any machine: whether it is there, and what it allows. */
const entry = (tce: bigint): string => (tce === 0n ? 'empty' : `0x${(tce & 3n).toString(16)}`)
const words = (...parts: readonly (string | number | bigint)[]): string =>
  parts.map((part) => (typeof part === 'bigint' ? `0x${part.toString(16)}` : String(part))).join(' ')

/** A recorded call in one line. */
function recordedLine(c: Recorded): string {
  const { call } = c
  if (call === 'H_STUFF_TCE') {
    const last = big(c['last_ioba'] ?? c['ioba'])
    return words(call, big(c['liobn']), Number(c['npages']), Number(c['calls'] ?? 1), last, Number(c['ret']))
  }
  if (call === 'H_GET_TCE' || call === 'H_PUT_TCE')
    return words(call, big(c['liobn']), big(c['ioba']), entry(big(c['tce'])), Number(c['ret']))
  if (call === 'H_PUT_TCE_INDIRECT') return words(call, big(c['liobn']), big(c['ioba']), Number(c['ret']))
  if (call === 'scan-clear')
    return words(call, big(c['liobn']), big(c['from']), big(c['last_ioba']), Number(c['pairs_get0_put0']))
  if (call === 'ibm,query-pe-dma-window') {
    const windows = /(\d+) windows available/.exec(String(c['text']))?.[1] ?? ''
    return words(call, big(c['buid']), big(c['addr']), windows, big(c['mask']))
  }
  if (call === 'ibm,create-pe-dma-window')
    return words(call, big(c['buid']), big(c['addr']), big(c['size']), big(c['requested']), big(c['liobn']))
  if (call === 'ibm,remove-pe-dma-window') return words(call, big(c['liobn']))
  return words(call, big(c['buid']), big(c['addr']))
}
/** One of ours in the same words. */
function ourLine({ call, args, ret, calls = 1, lastIoba = 0n }: FirmwareCall): string {
  const at = (name: string): bigint => BigInt(args[name] as number | bigint)
  if (call === 'H_STUFF_TCE') return words(call, at('liobn'), Number(at('npages')), calls, lastIoba, ret)
  if (call === 'H_GET_TCE' || call === 'H_PUT_TCE') return words(call, at('liobn'), at('ioba'), entry(at('tce')), ret)
  if (call === 'H_PUT_TCE_INDIRECT') return words(call, at('liobn'), at('ioba'), ret)
  if (call === 'scan-clear') return words(call, at('liobn'), at('ioba'), lastIoba, calls)
  if (call === 'ibm,query-pe-dma-window') return words(call, at('buid'), at('addr'), Number(at('windows')), at('mask'))
  if (call === 'ibm,create-pe-dma-window')
    return words(call, at('buid'), at('first'), 1n << at('pageShift'), 1n << at('windowShift'), at('liobn'))
  if (call === 'ibm,remove-pe-dma-window') return words(call, at('liobn'))
  return words(call, at('buid'), at('addr'))
}

describe.each(SCENARIOS)('$scenario', ({ scenario, steps, calls }) => {
  test('asks what the kernel asked, from the moment it takes the group', () => {
    const trace = readPowerTrace(steps, scenario, MACHINE, scenario)
    let log: FirmwareCalls | undefined
    const make = (name: string): ReturnType<typeof labTraceMachine> => {
      const machine = labTraceMachine(name)
      log = machine.host.get(FirmwareCalls)
      log.wanted = true
      return machine
    }
    const outcomes = playTraces([trace], { make })
    const differences = outcomes.flatMap((o) => o.differences).filter((d) => d.exempt === undefined)
    expect(differences.map(traceDifferenceLine)).toEqual([])
    expect(log?.calls.map(ourLine)).toEqual(calls.slice(boot(calls)).map(recordedLine))
  })
})

describe('the kernel’s boot', () => {
  test('clears each default window, and asks firmware for each bridge', () => {
    const recorded = (SCENARIOS[0] as Scenario).calls
    expect(recorded.slice(0, boot(recorded)).map(({ call }) => call)).toEqual([
      ...Array<string>(3).fill('H_STUFF_TCE'),
      ...Array<string>(4).fill('ibm,query-pe-dma-window'),
      'ibm,create-pe-dma-window',
      'H_PUT_TCE_INDIRECT',
    ])
  })
})
