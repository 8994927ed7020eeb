/** What the driver kit runs on: one small machine with an IOMMU, made anew for every test. */
import type { Bdf, Cpu, DmaPort, HostMemory, IommuDevice, IommuUnit, PageAllocator, Trace } from '@ioasis/core'
import type { AuditedHost } from '../audit/audit.ts'

/** The geometry of a world. */
export interface DriverVariant {
  /** Bytes of one page of the host's CPUs: every mapping is a multiple of it. */
  readonly pageSize: 4096 | 65536
  /**
   * One unit that can override No Snoop, if this hardware has any such; or two, of which the second cannot. The first unit
   * covers the world's functions 00:01.0 and 00:02.0, the second one 00:03.0.
   */
  readonly units: 1 | 2
  /** Invalidations take effect only when somebody waits for them, or polls. */
  readonly lag: boolean
}

/** One function and its way onto the bus. */
export interface WorldDevice {
  readonly iommu: IommuDevice
  readonly port: DmaPort
  readonly requester: Bdf
  /** Index of its unit in `DriverWorld.units`. */
  readonly unit: number
}

/** A machine as the kit sees it: the pieces of a host, and what a test does to it from outside. */
export interface DriverWorld {
  readonly variant: DriverVariant
  readonly memory: HostMemory
  readonly cpus: readonly [Cpu, ...Cpu[]]
  readonly pages: PageAllocator
  readonly trace: Trace
  readonly units: readonly IommuUnit[]
  /** At least two on the first unit; with two units one more, on the second. Live: `plug` and `unplug` change it. */
  readonly devices: readonly WorldDevice[]
  /** The machine for the audit. */
  readonly host: AuditedHost
  /** Units that lag finish what they were told. */
  poll(): void
  /** Takes a function out: the driver releases it. */
  unplug(device: WorldDevice): void
  /**
   * Adds a function on the first unit: the driver probes it.
   * @param slot device number on bus 0, 4 to 29; in 8 stands the one for which firmware may reserve memory (`WORLD_RESERVED`)
   */
  plug(slot: number): WorldDevice
  /**
   * Adds a PCIe-to-PCI bridge on the first unit and two functions behind it, whose requests carry the bridge's id for them.
   * Possible once in a world.
   * @returns the three, which are one group: the bridge comes first
   */
  plugBridge(): readonly [bridge: WorldDevice, one: WorldDevice, other: WorldDevice]
  /**
   * Runs `action` after each store of the CPU to memory or registers while `during` runs: what DMA would see in the midst
   * of an operation of the driver.
   */
  between(action: () => void, during: () => void): void
  /** Takes the machine apart. */
  close(): void
}
