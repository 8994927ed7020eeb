/** Row 9: a hit behind VT-d once AMD-Vi and POWER have been used in the same process. */
import { keep, measure, spread } from './measure.mjs'
import { range, unit, verdict } from './table.mjs'
import { hits, makeAmd, makeIntel, makeWindow, stores } from './vendor-worlds.mjs'

/** The same loop on the same host before the others exist, and once all three are warm. */
export function rows() {
  const intel = makeIntel()
  const alone = measure({ subject: hits(intel), baseline: stores })
  const others = [makeAmd(), makeWindow(1)]
  const loops = [intel, ...others].map(hits)
  for (let round = 0; round < 50; round++) for (const run of loops) keep(run(20_000))
  const together = measure({ subject: hits(intel), baseline: stores })
  const ratio = together.subject.median / alone.subject.median
  for (const { host } of [intel, ...others]) host.close()
  return [
    {
      row: '9',
      what: 'the VT-d hit of row 1 with AMD-Vi and POWER in use in the process / alone',
      subject: unit(together.subject.median, 'ns'),
      baseline: unit(alone.subject.median, 'ns'),
      ratio: range(spread([ratio])),
      goal: '1.6x',
      reached: verdict(ratio, 1.6),
    },
  ]
}
