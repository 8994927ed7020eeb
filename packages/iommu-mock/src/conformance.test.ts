import type { IommuUnit } from '@ioasis/core'
import { composeWorld, describeIommuDriver, WORLD_FUNCTIONS } from '@ioasis/testkit/kits'
import { iommuMock } from './index.ts'

const third: IommuUnit['covers'] = (_, requester) => requester === WORLD_FUNCTIONS[2]
const others: IommuUnit['covers'] = (_, requester) => requester !== WORLD_FUNCTIONS[2]

describeIommuDriver({
  name: 'mock, pages of 2 KiB',
  create: (variant) =>
    composeWorld(variant, [iommuMock({ units: variant.units === 1 ? [() => true] : [others, third] })]),
})
