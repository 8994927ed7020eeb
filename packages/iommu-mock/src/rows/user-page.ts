/** The page behind a user address, as get_user_pages_fast() finds it for reading. */
import { type Caller, type Hpa, NO_PAGE, type PageObject, UapiError, type Uva } from '@ioasis/core'

/** A page as a program sees it. */
export interface UserPage {
  /** `ZERO_PAGE` for one that was never written. */
  readonly hpa: Hpa
  readonly object: PageObject
}

/** @throws UapiError EFAULT where nothing is mapped for reading, or no memory */
export function userPage({ process }: Caller, uva: Uva, operation: string): UserPage {
  const found = process.addressSpace.at(uva)
  if (found?.vma.read && found.target.kind === 'pages' && found.target.object.pinnable) {
    const { object, firstPage } = found.target
    const hpa = object.peek(firstPage)
    if (hpa !== NO_PAGE) return { hpa, object }
  }
  throw new UapiError('EFAULT', operation, { uva })
}

const END = 1n << 64n

/** Whether a range leaves the 64 bits of an address. */
export const wraps = (first: bigint, bytes: bigint): boolean => first + bytes >= END
