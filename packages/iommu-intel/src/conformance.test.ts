import { composeWorld, describeIommuDriver, WORLD_FUNCTIONS, WORLD_RESERVED } from '@ioasis/testkit/kits'
import { DEFAULT_UNIT, intelIommu } from './index.ts'

const SNOOP_CONTROL = 1n << 7n

describeIommuDriver({
  name: 'intel second stage, 48 bit',
  // One unit for all functions, or a second one, without snoop control, for the third function.
  create(variant) {
    const one = { ...DEFAULT_UNIT, lag: variant.lag }
    const { ecap, registers } = one
    const two = { ...one, ecap: ecap & ~SNOOP_CONTROL, registers: registers + 0x1000, scope: [WORLD_FUNCTIONS[2]] }
    const units = variant.units === 1 ? [one] : [one, two]
    return composeWorld(variant, [intelIommu({ units, reserved: [WORLD_RESERVED] })])
  },
})
