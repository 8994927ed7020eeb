import { composeWorld, describeIommuDriver, WORLD_FUNCTIONS } from '@ioasis/testkit/kits'
import { amdIommu, DEFAULT_UNIT } from './index.ts'

const LIE = 'v2 tables have no such bit, and Linux claims it all the same (amdv2_ops)'

describeIommuDriver({
  name: 'AMD v2, four levels',
  create(variant) {
    const one = { ...DEFAULT_UNIT, lag: variant.lag }
    const devices = [{ kind: 'select', bdf: WORLD_FUNCTIONS[2], settings: 0 } as const]
    const two = { ...one, registers: one.registers + 0x8000, devices }
    return composeWorld(variant, [amdIommu({ units: variant.units === 1 ? [one] : [one, two], tables: 'v2' })])
  },
  skip: {
    'a write-only mapping lets writes through and refuses reads':
      'the CPUs’ format has no read permission to leave out',
    'an enforcing domain overrides No Snoop': LIE,
    'a large mapping of an enforcing domain that is cut overrides No Snoop in what is left': LIE,
  },
})
