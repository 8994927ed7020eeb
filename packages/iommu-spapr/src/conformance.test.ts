import { composeWorld, describeIommuDriver, type DriverVariant } from '@ioasis/testkit/kits'
import { powernvIommu, pseriesIommu } from './index.ts'

// One bridge serves all functions of a PCI domain, and the kit has one domain. A kill is done when the call returns.
const variants: readonly DriverVariant[] = [
  { pageSize: 4096, units: 1, lag: false },
  { pageSize: 65536, units: 1, lag: false },
]

describeIommuDriver({
  name: 'powernv',
  variants,
  // Without the freeze: the kit goes on after each refusal.
  create: (variant) => composeWorld(variant, [powernvIommu({ personality: 'qemu' })]),
})

const untold = 'a hypervisor drops a refused request without a word to the partition'
describeIommuDriver({
  name: 'pseries',
  variants,
  create: (variant) => composeWorld(variant, [pseriesIommu()]),
  skip: {
    'a fault is reported with its requester, address, access and reason': untold,
    'a refused read is reported as a read, in words': untold,
    'after many faults others are still served, and new faults still reported': untold,
  },
})
