/** The SPAPR back ends as a container finds them: version 1 pins as it maps, version 2 maps what was registered. */
import { type AddressSpace, type Caller, type ContainerBackend, UapiError } from '@ioasis/core'
import { VFIO_EXTENSION } from '@ioasis/uapi'
import { Ledger } from './ledger.ts'
import { type SessionHost, SpaprSession } from './session.ts'

const { VFIO_SPAPR_TCE_IOMMU, VFIO_SPAPR_TCE_v2_IOMMU, VFIO_EEH } = VFIO_EXTENSION

/** What the back ends are told of their host. */
export interface SpaprOptions {
  /** Errors freeze endpoints, and who owns one recovers it: VFIO_EEH is answered with 1. */
  readonly eeh: boolean
  /** Bytes of one page of the kernel. */
  readonly pageSize: number
  /** Bytes of RAM: the list of a registered region's pages must fit. Default: without limit. */
  readonly ram?: number
}

/** Both versions; one back end answers for them, as one driver does in Linux. */
export class SpaprBackend implements ContainerBackend {
  readonly name = 'iommu-vfio-powerpc'
  readonly extensions: readonly number[]
  /** Containers that chose it. */
  readonly sessions: Set<SpaprSession> = new Set()
  readonly ledger: Ledger
  /** Address spaces with registered memory. */
  readonly spaces: Set<AddressSpace> = new Set()
  readonly #host: SessionHost

  constructor({ eeh, pageSize, ram = Infinity }: SpaprOptions) {
    this.extensions = [VFIO_SPAPR_TCE_IOMMU, VFIO_SPAPR_TCE_v2_IOMMU, ...(eeh ? [VFIO_EEH] : [])]
    this.ledger = new Ledger(pageSize)
    this.#host = {
      ledger: this.ledger,
      pageBytes: pageSize,
      eeh,
      mostPages: ram / 8,
      uses: (space) => this.spaces.add(space),
      closed: (session) => this.sessions.delete(session),
    }
  }
  /** VFIO_EEH is an extension, and no type: EINVAL where it is offered. */
  open(_caller: Caller, type: number): SpaprSession {
    if (type !== VFIO_SPAPR_TCE_IOMMU && type !== VFIO_SPAPR_TCE_v2_IOMMU)
      throw new UapiError('EINVAL', 'tce_iommu_open', { type })
    const session = new SpaprSession(this.#host, type === VFIO_SPAPR_TCE_v2_IOMMU)
    this.sessions.add(session)
    return session
  }
}
