import { createHost, IoctlTable, IommuDriver, IommuUnit } from '@ioasis/core'
import { expect, test } from 'vitest'
import { IOMMU_TEST_CMD, iommuMock } from './index.ts'

const calls = (kernel: object): readonly string[] => {
  const host = createHost({ plugins: [iommuMock()], kernel })
  const names = host.all(IoctlTable).flatMap((table) => table.rows.map(({ call }) => `${table.file} ${call.name}`))
  host.close()
  return names
}

test('answers IOMMU_TEST where the kernel was built for tests and has iommufd', () => {
  expect(calls({ test: true })).toEqual([`iommufd ${IOMMU_TEST_CMD.name}`])
  expect([calls({}), calls({ test: true, iommufd: false })]).toEqual([[], []])
})

test('brings a driver and units where it is asked for units', () => {
  const host = createHost({ plugins: [iommuMock({ units: [() => true, () => false] })] })
  expect(host.all(IommuUnit).map(({ name }) => name)).toEqual(['mock0', 'mock1'])
  expect(host.all(IommuDriver).map(({ name }) => name)).toEqual(['iommufd_mock'])
  host.close()
})
