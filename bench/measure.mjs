/**
 * Ratios measured in one process: subject and baseline alternate inside each round, and the ratio is taken round by round, so
 * that a busy moment hits both. Reported are medians over the rounds, with quartiles.
 */
const WARM_UP = 3
const WARM_UP_MS = 200
const ROUNDS = 21

const now = () => Number(process.hrtime.bigint())
let sink = 0
/** Keeps a result alive, so that the loop that made it is not thrown away. */
export const keep = (value) => {
  sink = (sink + (value | 0)) | 0
}

const at = (sorted, share) => sorted[Math.floor(share * (sorted.length - 1))]
/** Median and quartiles of a list of numbers. */
export function spread(values) {
  const sorted = values.toSorted((a, b) => a - b)
  return { median: at(sorted, 0.5), low: at(sorted, 0.25), high: at(sorted, 0.75) }
}

/**
 * Finds how many operations take about `ms` milliseconds, once memory is touched and the code is optimized. The fastest of
 * three counts: were one slow moment taken for the rule, so few operations would be left per round that none become hot.
 * @returns n
 */
function calibrate(run, ms) {
  const warm = now() + WARM_UP_MS * 1e6
  while (now() < warm) keep(run(64))
  const took = (n) => {
    const start = now()
    keep(run(n))
    return now() - start
  }
  let n = 64
  while (Math.min(took(n), took(n), took(n)) < ms * 1e6) n *= 2
  return n
}

/**
 * @param options.subject what is measured: does `n` operations
 * @param options.baseline what it is compared with: does `n` operations of the same kind
 * @param options.n operations per call; found out when absent
 * @returns ns per operation of both, and the ratio, each as median and quartiles
 */
export function measure({ subject, baseline, n, rounds = ROUNDS, ms = 8 }) {
  const count = n ?? calibrate(subject, ms)
  const baseCount = n ?? calibrate(baseline, ms)
  const subjects = []
  const baselines = []
  const ratios = []
  for (let round = -WARM_UP; round < rounds; round++) {
    const a = now()
    keep(baseline(baseCount))
    const b = now()
    keep(subject(count))
    const c = now()
    if (round < 0) continue
    const per = { baseline: (b - a) / baseCount, subject: (c - b) / count }
    baselines.push(per.baseline)
    subjects.push(per.subject)
    ratios.push(per.subject / per.baseline)
  }
  return { subject: spread(subjects), baseline: spread(baselines), ratio: spread(ratios) }
}

/** Additions of which each needs the one before. */
function dependentAdditions(n) {
  let x = 1
  for (let i = 0; i < n; i++) x = (x + (x | 1)) | 0
  return x
}

/** ns of a dependent addition: how fast the machine is at this moment. */
export function calibration() {
  keep(dependentAdditions(1e6))
  const values = []
  for (let i = 0; i < 9; i++) {
    const start = now()
    keep(dependentAdditions(2e6))
    values.push((now() - start) / 2e6)
  }
  return spread(values).median
}
