import { expect, test } from 'vitest'
import { UapiError } from './errno.ts'

test('a refusal names the operation, the errno and the values', () => {
  const e = new UapiError('EEXIST', 'IOMMU_IOAS_MAP', { iova: 0x1000n, length: 0x3000, why: 'overlap' })
  expect(e.message).toBe('IOMMU_IOAS_MAP: EEXIST iova=0x1000 length=0x3000 why=overlap')
  expect(e.ret).toBe(-17)
})

test('a refusal may carry what the kernel writes back all the same', () => {
  expect(new UapiError('EMSGSIZE', 'IOMMU_IOAS_IOVA_RANGES', {}, { num_iovas: 3 }).out).toEqual({ num_iovas: 3 })
  expect(new UapiError('EINVAL', 'x').out).toBeUndefined()
})
