/** What a hypervisor is told by VFIO and may ask, without either knowing the other: Linux finds the other side by symbol_get. */
import type { FileOps } from '../file/file-ops.ts'
import type { Group } from '../iommu/group.ts'
import { type Token, tokens } from '../plugin/token.ts'

/** The hypervisor's side, one per virtual machine: vfio calls it when a file is given to it. */
export interface HypervisorHooks {
  /** A VM that a VFIO file was added to, or undefined when it was taken out; a device opened later sees it. */
  attached(file: FileOps, vm: object | undefined): void
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

/**
 * Where a hypervisor puts the TCEs its guest writes (POWER): the VM's own table and the hardware's are updated together.
 * A window offers it; kvm keeps one for each liobn.
 */
export interface TceSink {
  readonly pageShift: number
  readonly entries: bigint
  /** @returns false when the target is not kept by a registered region: H_PARAMETER, nothing changed */
  put(index: bigint, tce: bigint): boolean
  clear(index: bigint, count: bigint): boolean
}
