import { expect, test } from 'vitest'
import * as calls from './test-command.ts'

const { IOMMU_TEST_CMD, TEST_OP } = calls
const all = Object.values<unknown>(calls).filter(
  (value): value is calls.TestCall<unknown> =>
    typeof value === 'object' && value !== null && 'number' in value && 'op' in value,
)

test('there is a call for each sub-operation, all of one number and size', () => {
  expect(all.map(({ op }) => op).toSorted((a, b) => a - b)).toEqual(Object.values(TEST_OP))
  expect(new Set(all.map(({ number }) => number))).toEqual(new Set([0x3ba0]))
  expect(new Set(all.map(({ struct }) => struct?.size))).toEqual(new Set([72]))
  expect(IOMMU_TEST_CMD).toMatchObject({ number: 0x3ba0, minimum: 68 })
  expect(IOMMU_TEST_CMD.struct?.size).toBe(72)
})

/** Offsets as pahole prints them for struct iommu_test_cmd on x86-64. */
test('members lie where the union has them', () => {
  expect(calls.IOMMU_TEST_OP_ADD_RESERVED.struct?.at).toMatchObject({ start: 16, length: 24 })
  expect(calls.IOMMU_TEST_OP_ACCESS_PAGES.struct?.at).toMatchObject({
    flags: 16,
    out_access_pages_id: 20,
    iova: 24,
    length: 32,
    uptr: 40,
  })
  expect(calls.IOMMU_TEST_OP_DIRTY.struct?.at).toMatchObject({ flags: 16, iova: 24, page_size: 40, out_nr_dirty: 56 })
  expect(calls.IOMMU_TEST_OP_TRIGGER_IOPF.struct?.at).toMatchObject({ dev_id: 16, perm: 28, addr: 32 })
})

test('a struct names its sub-operation by itself', () => {
  const made = calls.IOMMU_TEST_OP_PASID_ATTACH.struct?.make({ size: 72, id: 3, pasid: 100, pt_id: 7 })
  expect(made && IOMMU_TEST_CMD.struct?.decode(made)).toMatchObject({ size: 72, op: 18, id: 3, last: 0 })
  expect(made && [...new Uint32Array(made.buffer)].slice(0, 6)).toEqual([72, 18, 3, 0, 100, 7])
})
