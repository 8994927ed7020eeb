/**
 * IOMMU_IOAS_CHANGE_PROCESS: after a program was replaced, the new one pays for what is pinned. Only file mappings can follow:
 * a user address means nothing in another address space. drivers/iommu/iommufd/ioas.c iommufd_ioas_change_process.
 */
import { type Caller, UapiError } from '@ioasis/core'
import { type AccountMode, charge, type PagesOwner, uncharge } from './accounting.ts'
import type { IommufdContext } from './context.ts'
import { Ioas } from './ioas.ts'
import type { Pages } from './pages.ts'

/** @throws UapiError EINVAL when something but a file is mapped; ENOMEM beyond the new one's limit; nothing has changed then */
export function changeProcess(context: IommufdContext, caller: Caller): void {
  const all = new Set<Pages>()
  for (const ioas of context.objects.all) {
    if (!(ioas instanceof Ioas)) continue
    for (const { value } of ioas.table.areas.within()) {
      if (value.pages.kind !== 'file') throw new UapiError('EINVAL', 'IOMMU_IOAS_CHANGE_PROCESS', { ioas: ioas.id })
      all.add(value.pages)
    }
  }
  const owner = context.ownerOf(caller)
  const changing = [...all].filter((pages) => changesCharge(pages, owner))
  chargeAll(changing, owner)
  for (const pages of changing) pages.changeOwner(owner)
}

/** What is charged to nobody stays where it is: Linux would take its `pinned_vm` from a process that never had it. */
function changesCharge({ account, owner: old }: Pages, owner: PagesOwner): boolean {
  if (account === 'none') return false
  return old.addressSpace !== owner.addressSpace || (account === 'user' && old.user !== owner.user)
}

function chargeAll(changing: readonly Pages[], owner: PagesOwner): void {
  const done: { readonly mode: AccountMode; readonly pages: number }[] = []
  try {
    for (const { account, pinned } of changing) {
      charge(owner, account, pinned)
      done.push({ mode: account, pages: pinned })
    }
  } catch (error) {
    for (const { mode, pages } of done) uncharge(owner, mode, pages)
    throw error
  }
}
