/** VFIO_DEVICE_FEATURE of a PCI function. drivers/vfio/pci/vfio_pci_core.c vfio_pci_core_ioctl_feature. */
import { type Caller, eventAt, readUser, UapiError, type VfioFeature, type VfioPayload } from '@ioasis/core'
import { VFIO_FEATURE, vfioLowPowerWakeup } from '@ioasis/uapi'
import type { DmaBufs } from './dma-buf.ts'
import type { HeldFunction } from './held-function.ts'

/** An opened function as its features change it. */
export interface FeatureOwner {
  readonly device: HeldFunction
  readonly dmaBufs: DmaBufs
  /** The user lets the device sleep until he touches it (LOW_POWER_ENTRY). */
  lowPower: { readonly wakeUp: (() => void) | undefined } | undefined
  /** Runs `change` while no BAR can be touched. */
  memoryOff(change: () => void): void
  /** BARs can be touched again, if memory is enabled. */
  memoryOn(): void
}

const TOKEN_BYTES = 16

/** What a session offers: a token only where there can be virtual functions to protect. */
export function features(session: FeatureOwner): ReadonlyMap<number, VfioFeature> {
  const { token } = session.device
  const found = new Map<number, VfioFeature>([
    [VFIO_FEATURE.LOW_POWER_ENTRY, { minimum: 0, set: () => enter(session, undefined) }],
    [VFIO_FEATURE.LOW_POWER_ENTRY_WITH_WAKEUP, { minimum: vfioLowPowerWakeup.size, set: wakingEntry(session) }],
    [VFIO_FEATURE.LOW_POWER_EXIT, { minimum: 0, set: () => leave(session) }],
    [VFIO_FEATURE.DMA_BUF, session.dmaBufs.feature],
  ])
  if (!token) return found
  const set = (caller: Caller, { uva }: VfioPayload): number => {
    token.set(readUser(caller, uva, TOKEN_BYTES, 'VFIO_DEVICE_FEATURE_PCI_VF_TOKEN'))
    return 0
  }
  return found.set(VFIO_FEATURE.PCI_VF_TOKEN, { minimum: TOKEN_BYTES, set })
}

const wakingEntry =
  (session: FeatureOwner) =>
  (caller: Caller, { uva }: VfioPayload): number => {
    const what = 'VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP'
    const entry = vfioLowPowerWakeup.decode(readUser(caller, uva, vfioLowPowerWakeup.size, what))
    if (entry.wakeup_eventfd < 0) throw new UapiError('EINVAL', what, { fd: entry.wakeup_eventfd })
    const event = eventAt(caller, entry.wakeup_eventfd)
    return enter(session, () => event.signal())
  }

/** The device sleeps once the call has ended. @throws UapiError EINVAL when it may sleep already */
function enter(session: FeatureOwner, wakeUp: (() => void) | undefined): number {
  // BARs go even when the entry is refused; the next touch of COMMAND or an exit gives them back.
  session.memoryOff(() => {
    if (session.lowPower)
      throw new UapiError('EINVAL', 'vfio_pci_runtime_pm_entry', { function: session.device.fn.name })
    session.lowPower = { wakeUp }
  })
  return 0
}
function leave(session: FeatureOwner): number {
  session.lowPower = undefined
  session.memoryOn()
  return 0
}
