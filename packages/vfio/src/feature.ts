/** VFIO_DEVICE_FEATURE: one call for many small abilities. drivers/vfio/vfio_main.c vfio_ioctl_device_feature, vfio_check_feature. */
import { type Caller, UapiError, type Uva, type VfioSession } from '@ioasis/core'
import {
  VFIO_DEVICE_FEATURE_FLAG,
  VFIO_DEVICE_FEATURE_MASK,
  VFIO_FEATURE,
  type VfioDeviceFeature,
  vfioDeviceFeature,
} from '@ioasis/uapi'

const { GET, SET, PROBE } = VFIO_DEVICE_FEATURE_FLAG

/** @returns the call's result @throws UapiError EINVAL for flags or too little room, ENOTTY for a feature it does not have */
export function runFeature(
  session: VfioSession,
  { argsz, flags }: VfioDeviceFeature,
  caller: Caller,
  arg: Uva,
): number {
  const what = 'VFIO_DEVICE_FEATURE'
  const both = GET | SET
  if (flags & ~(VFIO_DEVICE_FEATURE_MASK | both | PROBE)) throw new UapiError('EINVAL', what, { flags })
  if (!(flags & PROBE) && (flags & both) === both) throw new UapiError('EINVAL', what, { flags })
  const number = flags & VFIO_DEVICE_FEATURE_MASK
  const feature = session.features.get(number)
  if (!feature) {
    // Devices that cannot be copied while they run refuse this one in their own way.
    throw new UapiError(number === VFIO_FEATURE.MIG_PRECOPY_INFOv2 ? 'EINVAL' : 'ENOTTY', what, { feature: number })
  }
  const able = (feature.get ? GET : 0) | (feature.set ? SET : 0)
  if (flags & both & ~able) throw new UapiError('EINVAL', what, { flags })
  if (flags & PROBE) return 0
  const run = flags & GET ? feature.get : flags & SET ? feature.set : undefined
  const bytes = argsz - vfioDeviceFeature.size
  if (!run || bytes < feature.minimum) throw new UapiError('EINVAL', what, { flags, argsz })
  return run(caller, { uva: arg + BigInt(vfioDeviceFeature.size), bytes })
}
