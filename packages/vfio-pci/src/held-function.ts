/** A function that vfio-pci has, as those see it who open it, describe it and reset it. */
import type { Cpu, DriverCore, Errno, GroupRegistry, Interrupts, PciFunction, PciTopology } from '@ioasis/core'
import type { VfioDevice, VfioRegistry } from '@ioasis/vfio'
import type { Resource } from './config/owner.ts'
import type { Power } from './power.ts'
import type { VfioPciParameters } from './parameters.ts'
import type { VfToken } from './token.ts'

/** What the devices of one host need. */
export interface PciParts {
  readonly pci: PciTopology
  readonly drivers: DriverCore
  readonly groups: GroupRegistry
  readonly vfio: VfioRegistry
  readonly cpu: Cpu
  readonly interrupts: Interrupts
  readonly pageBytes: number
  readonly parameters: VfioPciParameters
  /** The function as this driver has it. */
  deviceOf(fn: PciFunction): HeldFunction | undefined
}

/** Somebody uses a function: what changes its state tells him. */
export interface FunctionUser {
  /** The device may sleep until it is touched (LOW_POWER_ENTRY). */
  readonly lowPower: object | undefined
  readonly interrupts: { restore(): void }
  /** Runs `change` while no BAR can be touched. */
  memoryOff(change: () => void): void
  /** BARs can be touched again, if memory is enabled. */
  memoryOn(): void
}

/** One function. */
export interface HeldFunction {
  readonly fn: PciFunction
  readonly parts: PciParts
  /** As they stood when the driver took the function. */
  readonly parameters: VfioPciParameters
  readonly resources: readonly Resource[]
  readonly power: Power
  /** A physical function's token. */
  readonly token: VfToken | undefined
  /** This driver switched its virtual functions on. */
  readonly virtualFunctionsOn: boolean
  /** It was used and could not be reset when it was closed. */
  needsReset: boolean
  /** Vectors of MSI that were asked for last, as a power of two: also by an earlier user (`msi_qmax`); 0: never yet. */
  msiOrder: number
  /** While somebody uses it. */
  readonly session: FunctionUser | undefined
  /** The device as VFIO knows it. */
  readonly own: VfioDevice | undefined
  /** A legacy display whose region is offered. */
  readonly isVga: boolean
  /** Resets the function and puts back what the kernel keeps. @returns why it cannot be reset alone */
  tryReset(): Errno | undefined
  /** Resets the function; its registers stay at their start. @returns whether it can be reset alone */
  runReset(): boolean
  /** Its session ended. */
  closed(): void
}
