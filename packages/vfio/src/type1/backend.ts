/** Type1: a container whose user maps and unmaps ranges of his memory. drivers/vfio/vfio_iommu_type1.c. */
import {
  type Caller,
  type ContainerBackend,
  type ContainerSession,
  IoctlDispatch,
  mayFail,
  UapiError,
} from '@ioasis/core'
import { VFIO_EXTENSION, VFIO_IOMMU_DIRTY_PAGES } from '@ioasis/uapi'
import { TYPE1_TABLE } from './calls.ts'
import { type Type1Parameters, type1Parameters } from './parameters.ts'
import { Type1 } from './type1.ts'

const { VFIO_TYPE1_IOMMU, VFIO_TYPE1v2_IOMMU, VFIO_UNMAP_ALL } = VFIO_EXTENSION
const dispatch = new IoctlDispatch([TYPE1_TABLE])

/** Type1 as a container finds it. */
export class Type1Backend implements ContainerBackend {
  readonly name = 'vfio-iommu-type1'
  readonly extensions: readonly number[] = [VFIO_TYPE1_IOMMU, VFIO_TYPE1v2_IOMMU, VFIO_UNMAP_ALL]
  /** Containers that chose it. */
  readonly containers: Set<Type1> = new Set()
  readonly #pageBytes: number
  readonly #parameters: Type1Parameters

  /** @param pageBytes of the kernel */
  constructor(pageBytes: number, parameters: Type1Parameters = type1Parameters()) {
    this.#pageBytes = pageBytes
    this.#parameters = parameters
  }
  open(caller: Caller, type: number): Type1Session {
    mayFail(caller, 'vfio_iommu')
    if (type !== VFIO_TYPE1_IOMMU && type !== VFIO_TYPE1v2_IOMMU)
      throw new UapiError('EINVAL', 'vfio_iommu_type1_open', { type })
    const session: Type1Session = new Type1Session({
      pageBytes: this.#pageBytes,
      v2: type === VFIO_TYPE1v2_IOMMU,
      parameters: this.#parameters,
      closed: () => this.containers.delete(session),
    })
    this.containers.add(session)
    return session
  }
}

/** A container that chose type1: its mappings, and the calls on them. */
export class Type1Session extends Type1 implements ContainerSession {
  ioctl(caller: Caller, number: number, arg: bigint): number {
    // Version 1 refuses this one before it looks at the struct.
    if (number === VFIO_IOMMU_DIRTY_PAGES.number && !this.v2)
      throw new UapiError('EACCES', 'VFIO_IOMMU_DIRTY_PAGES', { version: 1 })
    return dispatch.run(this, caller, number, arg)
  }
}
