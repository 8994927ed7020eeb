/** What a test asks of domains and IOASes. drivers/iommu/iommufd/selftest.c. */
import { type Caller, hiWord, loWord, type ObjectContext, readUser, split, UapiError } from '@ioasis/core'
import { MockDomain } from '../driver/domain.ts'
import { Walk } from '../hw/walk.ts'
import * as uapi from '../spec/test-command.ts'
import { type AnyTestRow, testRow, type TestParts } from './test-row.ts'
import { userPage, wraps } from './user-page.ts'

/** More bits than that no bitmap has: 16 MiB. */
const MOST_BITS = 1n << 27n
/** Less than that no batch of page frame numbers can hold: a pfn and a count. */
const LEAST_LIMIT = 12

/** @throws UapiError ENOENT; EINVAL for a domain of another driver */
function mockDomain(objects: ObjectContext, id: number): MockDomain {
  const domain = objects.pagingDomain(id)
  if (!(domain instanceof MockDomain)) throw new UapiError('EINVAL', 'get_md_pagetable', { id })
  return domain
}

/** Every page under an iova must be the one under the user's address. */
function checkMap(objects: ObjectContext, { id, iova, length, uptr }: uapi.TestRange, caller: Caller): void {
  const call = 'IOMMU_TEST_OP_MD_CHECK_MAP'
  const domain = mockDomain(objects, id)
  const page = domain.pageSizes & -domain.pageSizes
  if (((iova | length | uptr) & (page - 1n)) !== 0n || wraps(uptr, length)) {
    throw new UapiError('EINVAL', call, { iova, length, uptr })
  }
  const cpuPage = BigInt(caller.process.addressSpace.pageBytes)
  for (let done = 0n; done < length; done += page) {
    const { hpa } = userPage(caller, uptr + done, call)
    const expected = hpa + Number((uptr + done) & (cpuPage - 1n))
    if ((domain.lookup(iova + done) ?? 0) !== expected) throw new UapiError('EINVAL', call, { iova: iova + done })
  }
}

/** Marks what the set bits of a bitmap name, wherever something is mapped. */
function markDirty(walk: Walk, objects: ObjectContext, input: uapi.TestDirty, caller: Caller): number {
  const call = 'IOMMU_TEST_OP_DIRTY'
  const { id, iova, length, page_size: page, uptr } = input
  if (page === 0n || length === 0n || iova % page !== 0n || length % page !== 0n || uptr === 0n) {
    throw new UapiError('EINVAL', call, { iova, length, page_size: page })
  }
  const bits = length / page
  if (bits > MOST_BITS) throw new UapiError('EOVERFLOW', call, { length })
  const domain = mockDomain(objects, id)
  if (!domain.tracking) throw new UapiError('EINVAL', call, { id })
  const bitmap = readUser(caller, uptr, Math.ceil(Number(bits) / 8), call)
  let count = 0
  bitmap.forEach((byte, at) => {
    for (let left = byte; left !== 0; left &= left - 1) {
      const bit = BigInt(at * 8 + 31 - Math.clz32(left & -left))
      if (bit >= bits) return
      split(BigInt.asUintN(64, iova + bit * page))
      if (walk.find(domain.root, hiWord(), loWord())) walk.markDirty()
      count++
    }
  })
  return count
}

/** The rows. */
export function domainRows({ memory, frames }: TestParts): readonly AnyTestRow[] {
  const walk = new Walk(memory)
  return [
    testRow({
      call: uapi.IOMMU_TEST_OP_ADD_RESERVED,
      run(objects, { id, start, length }) {
        const call = 'IOMMU_TEST_OP_ADD_RESERVED'
        if (length === 0n) throw new UapiError('EINVAL', call)
        if (wraps(start, length - 1n)) throw new UapiError('EOVERFLOW', call, { start, length })
        objects.ioas(id).reserve(start, start + length - 1n)
      },
    }),
    testRow({ call: uapi.IOMMU_TEST_OP_MD_CHECK_MAP, run: checkMap }),
    testRow({
      call: uapi.IOMMU_TEST_OP_MD_CHECK_REFS,
      run(_objects, { length, uptr, refs }, caller) {
        const call = 'IOMMU_TEST_OP_MD_CHECK_REFS'
        const page = BigInt(frames.pageBytes)
        if (((length | uptr) & (page - 1n)) !== 0n || wraps(uptr, length)) throw new UapiError('EINVAL', call, { uptr })
        for (let done = 0n; done < length; done += page) {
          const { hpa, object } = userPage(caller, uptr + done, call)
          // Pages of a huge one count together: not looked at.
          if (object.blockPages > 1) continue
          if (pinsOf(hpa) !== refs) throw new UapiError('EIO', call, { uptr: uptr + done, refs })
        }
      },
    }),
    testRow({
      call: uapi.IOMMU_TEST_OP_DIRTY,
      run: (objects, input, caller) => ({ out_nr_dirty: BigInt(markDirty(walk, objects, input, caller)) }),
    }),
    // How much memory iommufd takes for a moment decides how large its batches are: nothing that comes out depends on it here.
    testRow({
      call: uapi.IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT,
      run(_objects, { limit }) {
        if (limit < LEAST_LIMIT) throw new UapiError('EINVAL', 'IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT', { limit })
      },
    }),
  ]

  /** The page of zeros is nobody's. */
  function pinsOf(hpa: number): number {
    return hpa === 0 ? 0 : frames.pinsOf(hpa)
  }
}
