import { composeWorld, describeIommuDriver, WORLD_FUNCTIONS, WORLD_RESERVED } from '@ioasis/testkit/kits'
import { amdIommu, DEFAULT_UNIT } from './index.ts'

describeIommuDriver({
  name: 'AMD v1, six levels',
  // One unit for all functions, or a second one for the third function.
  create(variant) {
    const one = { ...DEFAULT_UNIT, lag: variant.lag }
    const registers = one.registers + 0x8000
    const two = { ...one, registers, devices: [{ kind: 'select', bdf: WORLD_FUNCTIONS[2], settings: 0 } as const] }
    const { first, last, scope } = WORLD_RESERVED
    const range = { first: scope[0] as number, last: scope[0] as number }
    const kept = { unity: true, read: true, write: true, exclusion: false }
    const memory = [{ scope: range, segment: 0, first, size: last + 1 - first, ...kept }]
    return composeWorld(variant, [amdIommu({ units: variant.units === 1 ? [one] : [one, two], memory })])
  },
})
