/** The toy IOMMU in a world of the driver kit. */
import { bdf, type Plugin } from '@ioasis/core'
import { composeWorld } from '../driver-kit/compose-world.ts'
import type { DriverVariant, DriverWorld } from '../driver-kit/world.ts'
import { toyIommu } from './toy-iommu.ts'

const ELSEWHERE = bdf(0, 3, 0)

/** @param before plug-ins set up before the toy */
export function toyWorld(variant: DriverVariant, before: readonly Plugin[] = []): DriverWorld {
  const { lag } = variant
  const one = { name: 'toy0', registers: 0xfed0_0000, lag, covers: () => true }
  const split = { ...one, covers: (_: number, requester: number) => requester !== ELSEWHERE }
  const two = {
    name: 'toy1',
    registers: 0xfed0_1000,
    lag,
    covers: (_: number, requester: number) => requester === ELSEWHERE,
  }
  return composeWorld(variant, [...before, toyIommu(variant.units === 1 ? [one] : [split, two])])
}
