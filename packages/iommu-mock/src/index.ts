/** The kernel's mock IOMMU behind IOMMU_TEST, in the order of the data. */
export * from './spec/test-command.ts'
export * from './spec/mock-data.ts'
export { DEFAULT_GEOMETRY, hugeGeometry, mockFormat, type MockGeometry } from './spec/format.ts'
export { iommuMock } from './plugin.ts'
