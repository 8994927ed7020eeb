import { composeWorld, describeIommuDriver, WORLD_FUNCTIONS } from '@ioasis/testkit/kits'
import { virtioIommu } from '../src/plugin.ts'

const third = (requester: number): boolean => requester === WORLD_FUNCTIONS[2]
const others = (requester: number): boolean => !third(requester)

describeIommuDriver({
  name: 'virtio-iommu',
  oneUnit: 'Linux does the same: drivers/iommu/virtio-iommu.c viommu_attach_dev compares the devices',
  create(variant) {
    const units = variant.units === 1 ? [() => true] : [others, third]
    return composeWorld(variant, [virtioIommu({ units, lag: variant.lag })])
  },
})
