import type { IommuUnit } from '@ioasis/core'
import { composeWorld, type DriverVariant, type DriverWorld, runRandom, WORLD_FUNCTIONS } from '@ioasis/testkit/kits'
import { expect, test } from 'vitest'
import { iommuMock } from './index.ts'

const third: IommuUnit['covers'] = (_, requester) => requester === WORLD_FUNCTIONS[2]
const others: IommuUnit['covers'] = (_, requester) => requester !== WORLD_FUNCTIONS[2]
const variants: readonly (DriverVariant & { readonly seed: number })[] = [
  { seed: 1, pageSize: 4096, units: 1, lag: false },
  { seed: 2, pageSize: 65536, units: 2, lag: false },
]

test.each(variants)(
  'driver and silicon agree with the model over 2,000 operations: seed $seed, $units unit(s), $pageSize-byte pages',
  { timeout: 60_000 },
  ({ seed, ...variant }) => {
    const units = variant.units === 1 ? [() => true] : [others, third]
    const world = (): DriverWorld => composeWorld(variant, [iommuMock({ units })])
    const { did } = runRandom({ seed, steps: 2000, world })
    expect(Object.entries(did).filter(([, times]) => times < 10)).toEqual([])
  },
)
