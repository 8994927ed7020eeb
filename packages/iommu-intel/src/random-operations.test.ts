import { composeWorld, type DriverVariant, type DriverWorld, runRandom, WORLD_FUNCTIONS } from '@ioasis/testkit/kits'
import { expect, test } from 'vitest'
import { DEFAULT_UNIT, intelIommu, type IntelUnitOptions } from './index.ts'

const variants: readonly (DriverVariant & { readonly seed: number })[] = [
  { seed: 1, pageSize: 4096, units: 1, lag: false },
  { seed: 2, pageSize: 65536, units: 2, lag: false },
  { seed: 3, pageSize: 4096, units: 2, lag: true },
]

test.each(variants)(
  'driver and silicon agree with the model over 10,000 operations: seed $seed, $units unit(s), $pageSize-byte pages, lag $lag',
  { timeout: 60_000 },
  ({ seed, ...variant }) => {
    const one: IntelUnitOptions = { ...DEFAULT_UNIT, lag: variant.lag }
    const two: IntelUnitOptions = { ...one, registers: one.registers + 0x1000, scope: [WORLD_FUNCTIONS[2]] }
    const units = variant.units === 1 ? [one] : [one, two]
    const world = (): DriverWorld => composeWorld(variant, [intelIommu({ units })])
    const { did, audits } = runRandom({ seed, steps: 10_000, world })
    // Maps, unmaps, transfers, attaches, replacements, functions that come and go: none of them is there by name only.
    expect(Object.entries(did).filter(([, times]) => times < 50)).toEqual([])
    expect(audits).toEqual({ steps: 10_000, full: 39 })
  },
)
