import { describeIommuDriver } from '@ioasis/testkit/kits'
import { toyWorld } from './toy-world.test-kit.ts'

describeIommuDriver({ name: 'toy', create: (variant) => toyWorld(variant) })
