import { VFIO_DEVICE_BIND_IOMMUFD, VFIO_DEVICE_FEATURE, VFIO_DEVICE_FEATURE_FLAG } from '@ioasis/uapi'
import { expect, test } from 'vitest'
import { SpaceFile, vfioWorld } from './world.test-kit.ts'

const { GET, SET, PROBE } = VFIO_DEVICE_FEATURE_FLAG

function bound() {
  const world = vfioWorld()
  const driver = world.add('00:01.0')
  driver.features.set(3, { minimum: 4, set: (_caller, { bytes }) => bytes })
  const file = world.vmm.open('/dev/vfio/devices/vfio0')
  world.vmm.ioctl(file, VFIO_DEVICE_BIND_IOMMUFD, { iommufd: world.vmm.adopt(new SpaceFile()) })
  return (flags: number, room = 4): string | number => {
    const { ret, errno } = world.vmm.attempt(file, VFIO_DEVICE_FEATURE, { flags }, new Uint8Array(room))
    return errno ?? ret
  }
}

test.each([
  ['an unknown flag', 0x80000 | PROBE | 3, 'EINVAL'],
  ['to get and set at once', GET | SET | 3, 'EINVAL'],
  ['to get what can only be set', GET | 3, 'EINVAL'],
  ['neither to get nor to set', 3, 'EINVAL'],
  ['a feature it does not have', PROBE | GET | 77, 'ENOTTY'],
  ['the second form of migration data', PROBE | GET | 12, 'EINVAL'],
])('refuses %s', (_what, flags, errno) => {
  expect(bound()(flags)).toBe(errno)
})
test('a probe asks only whether it could be', () => {
  const feature = bound()
  expect([feature(PROBE | SET | 3), feature(PROBE | 3)]).toEqual([0, 0])
})
test('a payload must be as long as the feature needs; the driver gets all of it', () => {
  const feature = bound()
  expect([feature(SET | 3, 3), feature(SET | 3, 16)]).toEqual(['EINVAL', 16])
})
