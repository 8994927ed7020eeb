/** The unit that QEMU's `-device amd-iommu` is, by its properties. */
import type { FeatureRegisters } from './hw/capabilities.ts'

/** Properties as QEMU takes them. */
export interface QemuAmdProperties {
  readonly 'dma-remap'?: string | number
  readonly intremap?: string | number
  readonly xtsup?: string | number
}
/** What follows from them. */
export interface QemuAmdUnit extends FeatureRegisters {
  readonly dmaRemapping: boolean
  readonly interruptRemapping: boolean
}

/**
 * Feature registers of QEMU's unit: PreF, PPR, GT, IA, GA, HE, HATS 2, GATS 2 (hw/i386/amd_iommu.h), XT with `xtsup`; the capability
 * header says IotlbSup, HtTunnel, NpCache, EFRSup, CapExt.
 */
export function qemuAmdUnit(properties: QemuAmdProperties): QemuAmdUnit {
  return {
    efr: properties.xtsup === 'on' ? 0x29d7n : 0x29d3n,
    capabilityHeader: 0x1f03_000f,
    dmaRemapping: properties['dma-remap'] === 'on',
    interruptRemapping: properties.intremap !== 'off',
  }
}
