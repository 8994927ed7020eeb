/** Recorded machines as the player of traces meets them. */
import type { AnyIoctlCall, Host } from '@ioasis/core'
import type { HugePages } from './huge-pages.ts'

/** A function that scenarios name. */
export interface LabDevice {
  /** `0000:01:00.0`. */
  readonly bdf: string
  /** The driver it has when a scenario begins; `none`: no driver. */
  readonly driver: string
}

/** A lab host as the player of traces wants it: with the functions that scripts name, and calls this kernel may not have. */
export interface LabTraceMachine {
  readonly host: Host
  readonly devices: Readonly<Record<string, LabDevice>>
  readonly calls: readonly AnyIoctlCall[]
  /** Kernel modules that scripts load, by path: what loading them does. */
  readonly modules?: ReadonlyMap<string, () => void>
  /** Huge pages that a process may map; absent: the kernel has none. */
  readonly hugePages?: HugePages
  /** Files under /proc that scripts write, and what a text does. */
  readonly settable?: ReadonlyMap<string, (text: string) => void>
}
