/** Parameters of the module vfio_iommu_type1. */
import { addLimit, addSwitch, type SysfsTree } from '@ioasis/core'

/** Root may change them while the host runs. */
export interface Type1Parameters {
  /** `allow_unsafe_interrupts`: also groups whose interrupts the IOMMU does not isolate. */
  readonly unsafeInterrupts: { enabled: boolean }
  /** `disable_hugepages`: memory is pinned and mapped page by page. */
  readonly disableHugepages: { enabled: boolean }
  /** `dma_entry_limit`: mappings of a container that chooses this back end from now on. */
  readonly mostMappings: { limit: number }
}

/** As the module starts. */
export const type1Parameters = (): Type1Parameters => ({
  unsafeInterrupts: { enabled: false },
  disableHugepages: { enabled: false },
  mostMappings: { limit: 0xffff },
})

const DIRECTORY = '/sys/module/vfio_iommu_type1/parameters'

/** Shows them in sysfs. */
export function addType1Parameters(sysfs: SysfsTree, parameters: Type1Parameters): void {
  addSwitch(sysfs, `${DIRECTORY}/allow_unsafe_interrupts`, parameters.unsafeInterrupts)
  addSwitch(sysfs, `${DIRECTORY}/disable_hugepages`, parameters.disableHugepages)
  addLimit(sysfs, `${DIRECTORY}/dma_entry_limit`, parameters.mostMappings)
}
