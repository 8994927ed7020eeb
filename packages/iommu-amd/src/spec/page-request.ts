/** Peripheral page request log entries, 128 bits each: 48882 "Peripheral Page Request Log". */
import { field, type Field } from '@ioasis/core'

/** Fields of the first word; bits 63:12 of the second are the address. */
export const PPR: Readonly<
  Record<
    | 'DeviceId'
    | 'Pasid_15_0'
    | 'Tag'
    | 'Last'
    | 'Pasid_19_16'
    | 'Exec'
    | 'Read'
    | 'Write'
    | 'User'
    | 'RZ'
    | 'GN'
    | 'Code',
    Field
  >
> = {
  DeviceId: field(15, 0),
  Pasid_15_0: field(31, 16),
  /** Page request group index. */
  Tag: field(40, 32),
  /** Part of what Linux gives back in COMPLETE_PPR_REQUEST (PPR_TAG has 10 bits). */
  Last: field(41),
  Pasid_19_16: field(45, 42),
  Exec: field(49),
  Read: field(50),
  Write: field(53),
  User: field(54),
  RZ: field(55),
  GN: field(56),
  Code: field(63, 60),
}
/** `PPR.Code` of a page service request. */
export const PPR_PAGE_SERVICE_REQUEST = 1
