/** AMD-Vi: silicon, driver, and the plug-in that puts both into a host. */
export { amdIommu, type AmdOptions, amdOptionsOf, type AmdUnitOptions, DEFAULT_UNIT, ivrsTable } from './plugin.ts'
export {
  buildIvrs,
  type IvhdBlock,
  type IvhdDevice,
  type IvmdBlock,
  type IvrsTable,
  parseIvrs,
} from './spec/ivrs-table.ts'
export { AmdDriver, type AmdDriverOptions } from './driver/amd-driver.ts'
export * from './driver/command.ts'
export { CommandBuffer, type CommandQueue, type MakeQueue, type QueueParts } from './driver/command-buffer.ts'
export { AmdDomain } from './driver/domain.ts'
export { HWPT_DATA_AMD_GUEST, type IommuHwptAmdGuest, iommuHwptAmdGuest } from './driver/nested-domain.ts'
export { SvaDomain } from './driver/sva-domain.ts'
export { AmdUnit, type AmdUnitOptions as AmdSiliconOptions, type AmdUnitSurroundings } from './hw/unit.ts'
export type { Capabilities as AmdCapabilities, FeatureRegisters } from './hw/capabilities.ts'
export { type QemuAmdProperties, type QemuAmdUnit, qemuAmdUnit } from './qemu-unit.ts'
export { amdCaseUnit } from './case-unit.ts'
