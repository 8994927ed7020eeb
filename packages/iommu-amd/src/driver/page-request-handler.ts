/**
 * Page requests out of a unit's log: checked, and handed to whoever listens for the function. drivers/iommu/amd/ppr.c
 * iommu_call_iopf_notifier, ppr_is_valid, ppr_flag_to_fault_perm; response codes are those of IOMMU_PAGE_RESP_*.
 */
import { type Bdf, get, join, type PageRequest } from '@ioasis/core'
import { RESPONSE } from '../spec/command.ts'
import { PPR, PPR_PAGE_SERVICE_REQUEST } from '../spec/page-request.ts'
import type { AmdDevice } from './device.ts'
import type { LogEntry } from './log-ring.ts'

const CODES = { success: RESPONSE.SUCCESS, invalid: RESPONSE.INVALID, failure: RESPONSE.FAILURE } as const

/** @param deviceOf the function that a requester id is */
export function handlePageRequest(entry: LogEntry, deviceOf: (requester: Bdf) => AmdDevice | undefined): void {
  const [a = 0, b = 0, c = 0, d = 0] = entry
  const field = (of: keyof typeof PPR): number => get(PPR[of], a, b)
  const device = deviceOf(field('DeviceId'))
  // Of another kind, or from nobody that is known.
  if (field('Code') !== PPR_PAGE_SERVICE_REQUEST || !device) return
  const pasid = (field('Pasid_19_16') << 16) | field('Pasid_15_0')
  const group = field('Tag')
  const valid = field('GN') === 1 && field('RZ') === 0 && pasid !== 0 && pasid < device.maxPasids
  if (!valid) {
    device.answer(pasid, group, RESPONSE.FAILURE)
    return
  }
  const request: PageRequest = {
    requester: field('DeviceId'),
    pasid,
    iova: join(d, c) & ~0xfffn,
    read: field('Read') === 1,
    write: field('Write') === 1,
    exec: field('Exec') === 1,
    priv: field('User') === 0,
    last: field('Last') === 1,
    group,
    respond: (code) => device.answer(pasid, group, CODES[code]),
  }
  // iopf_error_response(): nobody could take it.
  if (device.pageRequested(request) && request.last) request.respond('invalid')
}
