/** Row 10: a process from spawn to its first verified DMA against an empty Node, and a warm host composed and closed. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { spread } from './measure.mjs'
import { range, unit, verdict } from './table.mjs'
import { makeWorld } from './world.mjs'

const ROUNDS = 11
const now = () => Number(process.hrtime.bigint()) / 1e6
const file = (name) => fileURLToPath(new URL(name, import.meta.url))

/** Runs a script that prints its peak memory in KiB. */
function run(script) {
  const start = now()
  const { stdout, status } = spawnSync(process.execPath, [file(script)], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${script} failed`)
  return { ms: now() - start, kib: Number(stdout) }
}

function spawnRows() {
  const seen = { extra: [], memory: [], subject: [], base: [], ratio: [], kib: [], baseKib: [] }
  for (let round = -2; round < ROUNDS; round++) {
    const base = run('empty.mjs')
    const subject = run('first-dma.mjs')
    if (round < 0) continue
    seen.subject.push(subject.ms)
    seen.base.push(base.ms)
    seen.extra.push(subject.ms - base.ms)
    seen.ratio.push(subject.ms / base.ms)
    seen.kib.push(subject.kib)
    seen.baseKib.push(base.kib)
    seen.memory.push((subject.kib - base.kib) / 1024)
  }
  const [extra, memory] = [spread(seen.extra).median, spread(seen.memory).median]
  return [
    {
      row: '10',
      what: `spawn to first verified DMA / empty Node: ${unit(extra, 'ms')} above`,
      subject: unit(spread(seen.subject).median, 'ms'),
      baseline: unit(spread(seen.base).median, 'ms'),
      ratio: range(spread(seen.ratio)),
      goal: '60 ms above',
      reached: verdict(extra, 60),
    },
    {
      row: '10',
      what: `its peak memory / empty Node: ${unit(memory, 'MiB')} above`,
      subject: unit(spread(seen.kib).median / 1024, 'MiB'),
      baseline: unit(spread(seen.baseKib).median / 1024, 'MiB'),
      ratio: range(spread(seen.kib.map((k, i) => k / seen.baseKib[i]))),
      goal: '40 MiB above',
      reached: verdict(memory, 40),
    },
  ]
}

function warmRow() {
  const warm = []
  for (let i = 0; i < 400; i++) {
    const start = now()
    makeWorld(2 ** 26).host.close()
    if (i >= 200) warm.push(now() - start)
  }
  return {
    row: '10',
    what: 'a warm host composed, attached and closed',
    subject: unit(spread(warm).median, 'ms'),
    baseline: '-',
    ratio: `quartiles ${range(spread(warm))} ms`,
    goal: '1 ms',
    reached: verdict(spread(warm).median, 1),
  }
}

export const rows = () => [...spawnRows(), warmRow()]
