import { expect, test } from 'vitest'
import { _IO, _IOR, _IOW, _IOWR, ioctlNr, ioctlSize, ioctlType } from './ioctl-number.ts'

test('numbers are those of the headers', () => {
  // IOMMU_IOAS_ALLOC, KVM_CREATE_DEVICE, KVM_SET_DEVICE_ATTR, TCGETS2, EVIOCGVERSION
  expect([
    _IO(';', 0x81),
    _IOWR(0xae, 0xe0, 12),
    _IOW(0xae, 0xe1, 24),
    _IOR('T', 0x2a, 44),
    _IOR('E', 0x01, 4),
  ]).toEqual([0x3b81, 0xc00c_aee0, 0x4018_aee1, 0x802c_542a, 0x8004_4501])
})
test('a number tells its nr, type and size', () => {
  const number = 0xc00c_aee0
  expect([ioctlNr(number), ioctlType(number), ioctlSize(number)]).toEqual([0xe0, 0xae, 12])
})
