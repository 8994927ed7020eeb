/** VFIO_DEVICE_FEATURE: one call for many small abilities. drivers/vfio/vfio_main.c vfio_ioctl_device_feature, vfio_check_feature. */
import { type Caller, UapiError, type Uva, type VfioFeature, type VfioSession } from '@ioasis/core'
import {
  VFIO_DEVICE_FEATURE_FLAG,
  VFIO_DEVICE_FEATURE_MASK,
  VFIO_FEATURE,
  type VfioDeviceFeature,
  vfioDeviceFeature,
} from '@ioasis/uapi'
import { loggingFeature } from './feature-logging.ts'
import { migrationFeature } from './feature-migration.ts'

const { GET, SET, PROBE } = VFIO_DEVICE_FEATURE_FLAG
const BOTH = GET | SET
const WHAT = 'VFIO_DEVICE_FEATURE'

/** @returns the call's result @throws UapiError EINVAL for flags or too little room, ENOTTY for a feature it does not have */
export function runFeature(
  session: VfioSession,
  { argsz, flags }: VfioDeviceFeature,
  caller: Caller,
  arg: Uva,
): number {
  if (flags & ~(VFIO_DEVICE_FEATURE_MASK | BOTH | PROBE)) throw new UapiError('EINVAL', WHAT, { flags })
  if (!(flags & PROBE) && (flags & BOTH) === BOTH) throw new UapiError('EINVAL', WHAT, { flags })
  const feature = featureOf(session, flags & VFIO_DEVICE_FEATURE_MASK)
  const able = (feature.get ? GET : 0) | (feature.set ? SET : 0)
  if (flags & BOTH & ~able) throw new UapiError('EINVAL', WHAT, { flags })
  if (flags & PROBE) return 0
  const run = flags & GET ? feature.get : flags & SET ? feature.set : undefined
  const bytes = argsz - vfioDeviceFeature.size
  if (!run || bytes < feature.minimum) throw new UapiError('EINVAL', WHAT, { flags, argsz })
  return run(caller, { uva: arg + BigInt(vfioDeviceFeature.size), bytes })
}

/** What the core answers for every driver; all else is the driver's own. */
function featureOf(session: VfioSession, number: number): VfioFeature {
  const { migration, dmaLogging } = session
  const feature =
    (migration && migrationFeature(migration, number)) ??
    (dmaLogging && loggingFeature(dmaLogging, number)) ??
    session.features.get(number)
  if (feature) return feature
  // Devices that cannot be copied while they run refuse this one in their own way.
  throw new UapiError(number === VFIO_FEATURE.MIG_PRECOPY_INFOv2 ? 'EINVAL' : 'ENOTTY', WHAT, { feature: number })
}
