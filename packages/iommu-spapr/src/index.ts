/** POWER: the SPAPR IOMMU, its windows and its container back ends. */
export * from './plugin.ts'
export type { FirmwareCall } from './hw/firmware-log.ts'
