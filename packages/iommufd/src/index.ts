/** `/dev/iommu`: a plug-in, and the calls of its uAPI. */
export { iommufd } from './plugin.ts'
export * from './uapi.ts'
/** The object model itself, for those who measure it or test what lies below the calls. */
export { IommufdContext } from './context.ts'
export { Ioas, mapUser, unmap } from './ioas.ts'
