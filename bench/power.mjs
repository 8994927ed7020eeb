/** Row 14: rows 1 and 2 behind a POWER host bridge. */
import { makeWindow, worldRows } from './vendor-worlds.mjs'

export const rows = () =>
  [1, 3].flatMap((levels) =>
    worldRows('14', `TCE table of ${levels} level${levels > 1 ? 's' : ''}`, makeWindow(levels), { hit: 10, miss: 60 }),
  )
