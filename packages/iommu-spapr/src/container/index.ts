/** The container back ends of POWER. */
import type { AuditSource, ContainerBackend, IoctlTable } from '@ioasis/core'
import { SpaprBackend, type SpaprOptions } from './backend.ts'
import { SPAPR_TABLE } from './calls.ts'
import { SpaprClaims } from './claims.ts'

export type { SpaprOptions } from './backend.ts'

/** What a plug-in provides of them. */
export interface SpaprContainers {
  readonly backend: ContainerBackend
  readonly audit: AuditSource
  readonly table: IoctlTable
}

/** Both versions of the SPAPR container for one host. */
export function spaprContainers(options: SpaprOptions): SpaprContainers {
  const backend = new SpaprBackend(options)
  return { backend, audit: new SpaprClaims(backend), table: SPAPR_TABLE }
}
