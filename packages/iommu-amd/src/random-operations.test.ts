import { composeWorld, type DriverVariant, type DriverWorld, runRandom, WORLD_FUNCTIONS } from '@ioasis/testkit/kits'
import { expect, test } from 'vitest'
import { type AmdOptions, type AmdUnitOptions, amdIommu, DEFAULT_UNIT } from './index.ts'

const NP_CACHE = 1 << 26
const HEADER = DEFAULT_UNIT.header as number

const variants: readonly (DriverVariant & {
  readonly seed: number
  readonly what: string
  readonly unit: Partial<AmdUnitOptions>
  readonly driver: AmdOptions
})[] = [
  { seed: 1, what: 'v1 tables', pageSize: 4096, units: 1, lag: false, unit: {}, driver: {} },
  { seed: 2, what: 'v1 tables', pageSize: 65536, units: 2, lag: false, unit: {}, driver: {} },
  { seed: 3, what: 'v1 tables', pageSize: 4096, units: 2, lag: true, unit: {}, driver: {} },
  { seed: 4, what: 'v2 tables', pageSize: 4096, units: 2, lag: false, unit: {}, driver: { tables: 'v2' } },
  { seed: 5, what: 'v2 tables', pageSize: 65536, units: 1, lag: true, unit: {}, driver: { tables: 'v2' } },
  {
    seed: 6,
    what: 'v1 tables, absent entries cached',
    pageSize: 4096,
    units: 1,
    lag: false,
    unit: { header: HEADER | NP_CACHE },
    driver: {},
  },
  {
    seed: 7,
    what: 'v2 tables, absent entries cached',
    pageSize: 4096,
    units: 1,
    lag: true,
    unit: { header: HEADER | NP_CACHE },
    driver: { tables: 'v2' },
  },
  {
    seed: 8,
    what: 'v1 tables of 4 KiB pages',
    pageSize: 4096,
    units: 1,
    lag: true,
    unit: {},
    driver: { pageSizes: 4096n },
  },
]

test.each(variants)(
  'driver and silicon agree with the model over 10,000 operations: $what, seed $seed, $units unit(s), $pageSize-byte pages, lag $lag',
  { timeout: 60_000 },
  ({ seed, unit, driver, ...variant }) => {
    const one: AmdUnitOptions = { ...DEFAULT_UNIT, lag: variant.lag, ...unit }
    const devices = [{ kind: 'select', bdf: WORLD_FUNCTIONS[2], settings: 0 } as const]
    const two: AmdUnitOptions = { ...one, registers: one.registers + 0x8000, devices }
    const units = variant.units === 1 ? [one] : [one, two]
    const world = (): DriverWorld => composeWorld(variant, [amdIommu({ ...driver, units })])
    const { did, audits } = runRandom({ seed, steps: 10_000, world })
    // Maps, unmaps, transfers, attaches, replacements, functions that come and go: none of them is there by name only.
    expect(Object.entries(did).filter(([, times]) => times < 50)).toEqual([])
    expect(audits).toEqual({ steps: 10_000, full: 39 })
  },
)
