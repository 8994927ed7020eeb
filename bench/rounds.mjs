/** Rounds of which each measures several things at once: for operations that cannot be repeated alone, as map and unmap. */
const WARM_UP_MS = 1000
const ROUNDS = 41

const now = () => Number(process.hrtime.bigint())

/** @returns ns that `n` operations took, each */
export function timed(n, run) {
  const start = now()
  run()
  return (now() - start) / n
}

/**
 * Runs rounds until the code is warm, then counts.
 * @param round does one round; its number is given. Returns ns of each thing, by name
 * @returns for each thing the list of its ns
 */
export function measureRounds(round) {
  const warm = now() + WARM_UP_MS * 1e6
  let i = 0
  while (i < 3 || now() < warm) round(i++)
  const seen = {}
  for (const end = i + ROUNDS; i < end; i++) {
    for (const [name, ns] of Object.entries(round(i))) (seen[name] ??= []).push(ns)
  }
  return seen
}
