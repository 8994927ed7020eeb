/** Row 13: a guest's AMD tables above the host's. A walk reads up to 24 entries where one of four levels reads four. */
import { makeNested, worldRows } from './vendor-worlds.mjs'

export const rows = () => worldRows('13', 'AMD v2 on v1, 4 on 4 levels', makeNested(), { hit: 20, miss: 300 })
