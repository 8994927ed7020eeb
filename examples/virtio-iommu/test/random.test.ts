import { composeWorld, runRandom, WORLD_FUNCTIONS } from '@ioasis/testkit/kits'
import { expect, test } from 'vitest'
import { virtioIommu } from '../src/plugin.ts'

const third = (requester: number): boolean => requester === WORLD_FUNCTIONS[2]

test.each([
  { seed: 1, pageSize: 4096, units: 1, lag: true },
  { seed: 2, pageSize: 65536, units: 2, lag: false },
] as const)('driver and device agree with the model over 5,000 operations, seed $seed', ({ seed, ...variant }) => {
  const units = variant.units === 1 ? [() => true] : [(requester: number) => !third(requester), third]
  const world = () => composeWorld(variant, [virtioIommu({ units, lag: variant.lag })])
  const { did } = runRandom({ seed, steps: 5000, world })
  expect(Object.entries(did).filter(([, times]) => times < 25)).toEqual([])
})
