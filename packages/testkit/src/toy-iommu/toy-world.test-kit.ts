import { composeWorld, type DriverVariant, type DriverWorld, WORLD_FUNCTIONS } from '@ioasis/testkit/kits'
import type { IommuUnit, Plugin } from '@ioasis/core'
import { toyIommu } from './toy-iommu.ts'

const third: IommuUnit['covers'] = (_, requester) => requester === WORLD_FUNCTIONS[2]
const others: IommuUnit['covers'] = (_, requester) => requester !== WORLD_FUNCTIONS[2]

/** One unit for all functions, or a second one for the third function. @param before plug-ins set up before the toy */
export const toyWorld = (variant: DriverVariant, before: readonly Plugin[] = []): DriverWorld =>
  composeWorld(variant, [...before, toyIommu(variant.units === 1 ? [() => true] : [others, third])])
