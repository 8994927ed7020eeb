/** Calls, structs and numbers of `/dev/iommu`: include/uapi/linux/iommufd.h of Linux 7.2. Data only. */
export { IOMMUFD_NR, U64_MAX } from './uapi/number.ts'
export * from './uapi/ioas.ts'
export * from './uapi/hwpt.ts'
export * from './uapi/fault.ts'
export * from './uapi/viommu.ts'
