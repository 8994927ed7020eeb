/** The example of the README of iommu-mock. */
import { Client, createHost, Processes } from '@ioasis/core'
import { IOMMU_TEST_OP_MD_CHECK_MAP, IOMMU_TEST_OP_MOCK_DOMAIN, iommuMock } from '@ioasis/iommu-mock'
import { IOMMU_IOAS_ALLOC, IOMMU_IOAS_MAP, iommufd } from '@ioasis/iommufd'
import { expect, test } from 'vitest'

test('maps, and finds the pages of the buffer below the iova', () => {
  const host = createHost({ kernel: { test: true }, plugins: [iommufd(), iommuMock()] })
  const vmm = new Client(host, host.get(Processes).spawn())
  const fd = vmm.open('/dev/iommu')
  const { out_ioas_id } = vmm.ioctl(fd, IOMMU_IOAS_ALLOC, {})
  const { out_hwpt_id } = vmm.ioctl(fd, IOMMU_TEST_OP_MOCK_DOMAIN, { id: out_ioas_id })
  const uptr = vmm.mmap({ bytes: 8192 })
  const [iova, length] = [0x100_0000n, 8192n]
  vmm.ioctl(fd, IOMMU_IOAS_MAP, { ioas_id: out_ioas_id, flags: 7, user_va: uptr, length, iova })
  vmm.ioctl(fd, IOMMU_TEST_OP_MD_CHECK_MAP, { id: out_hwpt_id, iova, length, uptr })
  const wrong = { id: out_hwpt_id, iova, length, uptr: uptr + 4096n }
  expect(vmm.attempt(fd, IOMMU_TEST_OP_MD_CHECK_MAP, wrong).errno).toBe('EINVAL')
  vmm.exit()
  host.close()
})
