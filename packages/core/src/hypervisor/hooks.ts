/** What a hypervisor is told by VFIO and may ask, without either knowing the other: Linux finds the other side by symbol_get. */
import type { FileOps } from '../file/file-ops.ts'
import type { Group } from '../iommu/group.ts'
import { type Token, tokens } from '../plugin/token.ts'

/** The hypervisor's side: vfio calls it when a device is opened whose file was given to a virtual machine. */
export interface HypervisorHooks {
  /**
   * Keeps a machine while a device of it is open (kvm_get_kvm_safe).
   * @returns lets it go; undefined for a machine that is going, or is another hypervisor's: the device is opened without one
   */
  keep(vm: object): (() => void) | undefined
}
/** The hooks of this host. */
export const HypervisorHooks: Token<HypervisorHooks> = tokens('HypervisorHooks')

/** VFIO's side: what a hypervisor may ask of a file a user handed to it. */
export interface AssignedFile extends FileOps {
  readonly assigned: {
    /** The file holds a VFIO device or group at all. */
    readonly valid: boolean
    /** DMA through it is coherent whatever the device asks: the answer of the IOMMU, never of the device. */
    readonly enforcedCoherent: boolean
    /** The group behind it; undefined for an emulated device. */
    readonly group: Group | undefined
    /** Tells the file which VM uses it. */
    setVm(vm: object | undefined): void
  }
}
