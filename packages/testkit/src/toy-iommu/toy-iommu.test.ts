import { describeIommuDriver } from '../driver-kit/describe-driver.ts'
import { toyWorld } from './toy-world.ts'

describeIommuDriver({ name: 'toy', create: (variant) => toyWorld(variant) })
