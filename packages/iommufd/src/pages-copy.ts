/** Copying between the kernel and pages of an area. drivers/iommu/iommufd/pages.c iopt_pages_rw_access. */
import { type Caller, type CopyHow, PageRunList, UapiError } from '@ioasis/core'
import type { Pages } from './pages.ts'

/**
 * Copies `bytes` to or from the pages.
 * @param at the first byte: page and bytes into it
 * @throws UapiError EPERM for pages that are not writable, EINVAL for a device's memory, EFAULT
 */
export function copyPages(
  { process }: Caller,
  pages: Pages,
  at: { readonly page: number; readonly offset: number },
  bytes: Uint8Array,
  { write, slow = false }: CopyHow,
): void {
  const what = 'iommufd access'
  if (write && !pages.writable) throw new UapiError('EPERM', what)
  if (pages.kind === 'dma-buf') throw new UapiError('EINVAL', what)
  const space = pages.owner.addressSpace
  if (!slow && pages.kind === 'user' && process.addressSpace === space) {
    const uva = pages.origin + BigInt(at.page) * BigInt(space.pageBytes) + BigInt(at.offset)
    const done = write ? space.copyOut(uva, bytes) : space.copyIn(uva, bytes)
    if (done < bytes.length) throw new UapiError('EFAULT', what, { uva })
    return
  }
  copyPinned(pages, at, bytes, write)
}

/** For a file, or another process's memory: the pages are pinned for as long as the copy takes. */
function copyPinned(
  pages: Pages,
  { page, offset }: { readonly page: number; readonly offset: number },
  bytes: Uint8Array,
  write: boolean,
): void {
  const { frames, pageBytes } = pages.owner.addressSpace
  const last = page + Math.floor((offset + bytes.length - 1) / pageBytes)
  pages.whileKept(page, last, () => {
    const runs = new PageRunList()
    pages.collect(page, offset, bytes.length, runs)
    let done = 0
    for (let i = 0; i < runs.count; i++) {
      const part = bytes.subarray(done, done + (runs.bytes[i] as number))
      const hpa = runs.hpa[i] as number
      const copied = write ? frames.cpu.write(hpa, part) : frames.cpu.read(hpa, part)
      if (copied < part.length) throw new UapiError('EFAULT', 'iommufd access', { hpa })
      done += part.length
    }
  })
}
