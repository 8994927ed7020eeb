/** Prints rows as an aligned table. */
export function printTable(rows) {
  const head = ['row', 'what', 'subject', 'baseline', 'ratio [quartiles]', 'goal', 'reached']
  const lines = [head, ...rows.map((r) => [r.row, r.what, r.subject, r.baseline, r.ratio, r.goal, r.reached])]
  const widths = head.map((_, i) => Math.max(...lines.map((l) => l[i].length)))
  for (const [i, line] of lines.entries()) {
    console.log(
      line
        .map((cell, k) => cell.padEnd(widths[k]))
        .join('  ')
        .trimEnd(),
    )
    if (i === 0) console.log(widths.map((w) => '-'.repeat(w)).join('  '))
  }
}

const number = (x) => (x >= 100 ? x.toFixed(0) : x >= 10 ? x.toFixed(1) : x.toFixed(2))
/** `12.3 ns` */
export const unit = (x, name) => `${number(x)} ${name}`
/** `1.23 [1.20..1.31]` */
export const range = ({ median, low, high }) => `${number(median)} [${number(low)}..${number(high)}]`

/** Goal, twice the goal (the least that passes), or beyond. */
export const verdict = (value, goal) => (value <= goal ? 'goal' : value <= 2 * goal ? 'within 2x' : 'MISSED')

/** A row of `measure` whose goal is a ratio to the baseline. */
export const ratioRow = (row, what, m, goal) => ({
  row,
  what,
  subject: unit(m.subject.median, 'ns'),
  baseline: unit(m.baseline.median, 'ns'),
  ratio: range(m.ratio),
  goal: `${goal}x`,
  reached: verdict(m.ratio.median, goal),
})
/** A row of `measure` whose goal is a time of the subject. */
export const timeRow = (row, what, m, goal) => ({
  ...ratioRow(row, what, m, goal),
  goal: `${goal} ns`,
  reached: verdict(m.subject.median, goal),
})
