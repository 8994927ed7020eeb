/** Row 13: rows 1 and 2 behind AMD-Vi, with the host's own tables. */
import { makeAmd, worldRows } from './vendor-worlds.mjs'

export const rows = () => worldRows('13', 'AMD v1, 4 levels', makeAmd(), { hit: 10, miss: 60 })
