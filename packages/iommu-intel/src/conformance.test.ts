import {
  composeWorld,
  describeIommuDriver,
  type DriverVariant,
  type DriverWorld,
  WORLD_FUNCTIONS,
} from '@ioasis/testkit/kits'
import { DEFAULT_UNIT, intelIommu } from './index.ts'

const SNOOP_CONTROL = 1n << 7n

/** One unit for all functions, or a second one, without snoop control, for the third function. */
function world(variant: DriverVariant): DriverWorld {
  const one = { ...DEFAULT_UNIT, lag: variant.lag }
  const { ecap, registers } = one
  const two = { ...one, ecap: ecap & ~SNOOP_CONTROL, registers: registers + 0x1000, scope: [WORLD_FUNCTIONS[2]] }
  return composeWorld(variant, [intelIommu({ units: variant.units === 1 ? [one] : [one, two] })])
}

describeIommuDriver({ name: 'intel second stage, 48 bit', create: world })
