/** The driver's part of the kernel command line, and what firmware hands over. */
import type { Bdf, PciFunction } from '@ioasis/core'
import type { IvrsTable } from '../spec/ivrs-table.ts'
import type { MakeQueue } from './command-buffer.ts'
import type { TableMode } from './domain-users.ts'

/** What the driver is told at boot. */
export interface AmdDriverOptions {
  /** Firmware's table. */
  readonly table: IvrsTable
  /** The function at a place: each unit is one. */
  readonly functionAt: (segment: number, bdf: Bdf) => PciFunction | undefined
  /** iommu=pt: devices pass through by default. */
  readonly identityDefault?: boolean
  /** Default true. */
  readonly interruptRemapping?: boolean
  /** amd_iommu=pgtbl_v1, pgtbl_v2: the tables of domains that need nothing special. Default v1. */
  readonly tables?: TableMode
  /** amd_iommu=pgsize...: bit n set: pages of 2^n bytes. Default all. */
  readonly pageSizes?: bigint
  /** amd_iommu=fullflush, iommu.strict=1. Units that remember absent entries make it so, too. */
  readonly strict?: boolean
  /** The CPUs have five levels of page tables. */
  readonly la57?: boolean
  /**
   * Lets guests' first stages be made: Linux 7.2 has the code (nested.c) and does not connect it to iommufd, so that its answer
   * is EOPNOTSUPP. Default false.
   */
  readonly connectNesting?: boolean
  /** How commands get to a unit. Default: its ring. */
  readonly makeQueue?: MakeQueue
}
