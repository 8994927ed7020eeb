/** Who pays for pinned pages. drivers/iommu/iommufd/pages.c iopt_pages_update_pinned. */
import { type AddressSpace, type LockedPages, type PageRunList, type Process, UapiError, type User } from '@ioasis/core'

/** Where pinned pages are counted: nowhere (CAP_IPC_LOCK), per user, or per address space as VFIO does. */
export type AccountMode = 'none' | 'user' | 'mm'

/** Who mapped: latched at the call, as Linux latches mm, task and user. */
export interface PagesOwner {
  readonly addressSpace: AddressSpace
  readonly process: Process
  readonly user: User
  /** Lent while pages are pinned. */
  readonly scratch: PageRunList
}

const counter = ({ addressSpace, user }: PagesOwner, mode: 'user' | 'mm'): LockedPages =>
  mode === 'mm' ? addressSpace.locked : user.locked

/**
 * Charges pages that were pinned. The limit is the one the mapping process has now.
 * @throws UapiError ENOMEM beyond RLIMIT_MEMLOCK; EINVAL when the address space to charge is gone; nothing is charged then
 */
export function charge(owner: PagesOwner, mode: AccountMode, pages: number): void {
  const { addressSpace, process } = owner
  if (mode !== 'none') {
    if (mode === 'mm' && !addressSpace.alive) throw new UapiError('EINVAL', 'iommufd charge', { pages })
    const limit = Math.floor(process.limits.memlock / addressSpace.pageBytes)
    counter(owner, mode).charge(pages, limit, 'iommufd charge')
  }
  addressSpace.pinnedPages += pages
}

/** Gives back what `charge` took. */
export function uncharge(owner: PagesOwner, mode: AccountMode, pages: number): void {
  if (mode !== 'none') counter(owner, mode).uncharge(pages)
  owner.addressSpace.pinnedPages -= pages
}
