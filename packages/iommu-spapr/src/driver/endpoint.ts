/** What both platforms' partitionable endpoints are to the devices in them: windows with an owner, and a name. */
import type { Claim, DmaWindows, ErrorRecovery, IovaRange, PciFunction } from '@ioasis/core'

/** An endpoint: one group, one `struct iommu_table_group`. */
export interface Endpoint extends DmaWindows {
  /** `domain1-pefd`. */
  readonly name: string
  /** Unit its requests come to, for claims. */
  readonly unit: string
  /** Names it among the unit's domains, for claims: no window has this tag. */
  readonly tag: number
  readonly recovery: (ErrorRecovery & { changeOwner(): void }) | undefined
  /** User space takes the windows over: the platform's own are put away. Harmless when done. @throws UapiError EPERM */
  take(fn: PciFunction): void
  /** The platform has them back. Harmless when done. */
  giveBack(fn: PciFunction): void
  /** A host driver says how many address bits its device has. */
  setDmaMask(fn: PciFunction, bits: number): void
  /** What is mapped in its windows. */
  claims(near?: IovaRange): readonly Claim[]
}
