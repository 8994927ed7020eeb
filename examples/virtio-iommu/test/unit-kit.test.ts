import { describeIommuUnit } from '@ioasis/testkit/kits'
import { fed, GOLDEN } from './golden.test-kit.ts'

describeIommuUnit({
  name: 'virtio-iommu',
  create: fed,
  golden: GOLDEN,
  skip: {
    'an explanation names the entries it read, and the words that stand there':
      'mappings are kept in the device: no entry stands in memory',
  },
})
