/** What configuration writes ask of the device around them. */
import type { PciFunction } from '@ioasis/core'
import type { ConfigTarget } from './permission.ts'

/** A resource as the host assigned it: a BAR or the ROM. */
export interface Resource {
  /** 0 to 5; 6: the ROM. */
  readonly index: number
  /** Host address; 0: none, the user then sees no such BAR. */
  readonly start: number
  readonly size: number
  /** Type bits of its register. */
  readonly flags: number
  readonly space: 'memory' | 'io' | 'rom'
  readonly wide: boolean
}

/** The opened device as its configuration space sees it. */
export interface ConfigOwner {
  readonly fn: PciFunction
  readonly resources: readonly Resource[]
  /** Power of two of the MSI vectors last asked for; 0: never yet. */
  readonly msiOrder: number
  /** MSI vectors are in use. */
  readonly usesMsi: boolean
  /** Runs `change` while no BAR can be touched; afterwards they can again if memory is enabled. */
  memoryOff(change: () => void): void
  /** Memory was switched on: mappings and dma-bufs come back. */
  memoryOn(): void
  setPowerState(state: 0 | 1 | 2 | 3): void
  /** pci_try_reset_function(). */
  resetFunction(): void
  /** COMMAND.InterruptDisable as the user sees it. */
  hideIntx(hidden: boolean): void
}

/** What the rules of a capability get. */
export interface Target extends ConfigTarget {
  readonly owner: ConfigOwner
  /** BAR and ROM registers as they stood in the hardware at first: what a reset behind the driver's back took away. */
  readonly realBars: readonly { readonly at: number; readonly value: number }[]
  /** Its line is kept down. */
  readonly lineOff: boolean
  /** BARs were written and not yet given the form of hardware. */
  barsDirty: boolean
}
