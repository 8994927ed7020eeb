/** Row 6: mapping and unmapping 1 GiB of 4 KiB pages, flush included, against bare stores of word pairs. */
import { flushGather } from '@ioasis/core'
import { spread } from './measure.mjs'
import { range, unit, verdict } from './table.mjs'
import { contiguous, makeWorld, PAGE, RW, scattered } from './world.mjs'

const GIB = 2 ** 30
const PAGES = GIB / PAGE
const HPA = 0x1000_0000
const IOVA = 0x3_0000_0000n
const ROUNDS = 21
const WARM_UP = 3

const now = () => Number(process.hrtime.bigint())

function bareStores(words) {
  let lo = 3
  for (let i = 0; i < words.length; i += 2) {
    words[i] = lo
    words[i + 1] = 1
    lo = (lo + PAGE) | 0
  }
}

function measured(domain, runs) {
  const words = new Int32Array(2 * PAGES)
  const seen = { map: [], unmap: [], base: [], mapRatio: [], unmapRatio: [] }
  for (let round = -WARM_UP; round < ROUNDS; round++) {
    const a = now()
    bareStores(words)
    const b = now()
    domain.map(IOVA, runs, RW)
    const c = now()
    const gather = flushGather()
    domain.unmap(IOVA, BigInt(GIB), gather)
    domain.sync(gather)
    const d = now()
    if (round < 0) continue
    seen.base.push((b - a) / PAGES)
    seen.map.push((c - b) / PAGES)
    seen.unmap.push((d - c) / PAGES)
    seen.mapRatio.push((c - b) / (b - a))
    seen.unmapRatio.push((d - c) / (b - a))
  }
  return seen
}

const row = (what, ns, ratio, base, goal) => ({
  row: '6',
  what,
  subject: unit(spread(ns).median, 'ns/page'),
  baseline: unit(spread(base).median, 'ns/page'),
  ratio: range(spread(ratio)),
  goal: `${goal} ns/page`,
  reached: verdict(spread(ns).median, goal),
})

export function rows() {
  const { host, domain } = makeWorld()
  const one = measured(domain, contiguous(HPA + PAGE, GIB))
  const many = measured(
    domain,
    scattered(PAGES, (i) => HPA + ((i * 40503) % PAGES) * PAGE),
  )
  host.close()
  return [
    row('map 1 GiB as 4 KiB pages, one run / bare stores', one.map, one.mapRatio, one.base, 4),
    row('unmap and flush it / bare stores', one.unmap, one.unmapRatio, one.base, 2),
    row('map 1 GiB of scattered pages / bare stores', many.map, many.mapRatio, many.base, 4),
    row('unmap and flush it / bare stores', many.unmap, many.unmapRatio, many.base, 2),
  ]
}
