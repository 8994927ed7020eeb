/** The SPAPR back ends as a container finds them: version 1 pins as it maps, version 2 maps what was registered. */
import {
  type AddressSpace,
  type Caller,
  type ContainerBackend,
  type ContainerSession,
  IoctlDispatch,
  UapiError,
} from '@ioasis/core'
import { VFIO_EXTENSION } from '@ioasis/uapi'
import { admit, SPAPR_TABLE } from './calls.ts'
import { type ContainerHost, SpaprContainer } from './container.ts'
import { Ledger } from './ledger.ts'

const { VFIO_SPAPR_TCE_IOMMU, VFIO_SPAPR_TCE_v2_IOMMU, VFIO_EEH } = VFIO_EXTENSION
const dispatch = new IoctlDispatch([SPAPR_TABLE])

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
  readonly containers: Set<SpaprContainer> = new Set()
  readonly ledger: Ledger
  /** Address spaces with registered memory. */
  readonly spaces: Set<AddressSpace> = new Set()
  readonly #host: ContainerHost

  constructor({ eeh, pageSize, ram = Infinity }: SpaprOptions) {
    this.extensions = [VFIO_SPAPR_TCE_IOMMU, VFIO_SPAPR_TCE_v2_IOMMU, ...(eeh ? [VFIO_EEH] : [])]
    this.ledger = new Ledger(pageSize)
    this.#host = {
      ledger: this.ledger,
      pageBytes: pageSize,
      eeh,
      mostPages: ram / 8,
      uses: (space) => this.spaces.add(space),
      closed: (container) => this.containers.delete(container),
    }
  }
  /** VFIO_EEH is an extension, and no type: EINVAL where it is offered. */
  open(_caller: Caller, type: number): SpaprSession {
    if (type !== VFIO_SPAPR_TCE_IOMMU && type !== VFIO_SPAPR_TCE_v2_IOMMU)
      throw new UapiError('EINVAL', 'tce_iommu_open', { type })
    const session = new SpaprSession(this.#host, type === VFIO_SPAPR_TCE_v2_IOMMU)
    this.containers.add(session)
    return session
  }
}

/** A container that chose SPAPR: what it has, and the calls on it. */
export class SpaprSession extends SpaprContainer implements ContainerSession {
  /** @throws UapiError EPERM for another address space than the container's; ENOTTY for a call that it does not have */
  ioctl(caller: Caller, number: number, arg: bigint): number {
    if (this.space && this.space !== caller.process.addressSpace)
      throw new UapiError('EPERM', 'ioctl', { file: 'vfio-container', pid: caller.process.pid })
    admit(this, caller, number)
    return dispatch.run(this, caller, number, arg)
  }
}
