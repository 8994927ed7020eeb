/** `/dev/iommu`: a plug-in, and the calls of its uAPI. */
export { iommufd } from './plugin.ts'
export * from './uapi.ts'
