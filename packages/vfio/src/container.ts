/** /dev/vfio/vfio: groups that share what a back end maps. drivers/vfio/container.c. */
import {
  type Caller,
  type ContainerBackend,
  type ContainerMember,
  type ContainerPins,
  type ContainerSession,
  type FileOps,
  type IoctlRow,
  type IoctlTable,
  IoctlDispatch,
  UapiError,
  VFIO_CONVENTION,
} from '@ioasis/core'
import { VFIO_API_VERSION, VFIO_CHECK_EXTENSION, VFIO_GET_API_VERSION, VFIO_SET_IOMMU } from '@ioasis/uapi'
import type { GroupKind } from './device.ts'

/** A group as its container knows it. */
export interface GroupInContainer extends ContainerMember {
  readonly kind: GroupKind
}

/** An open container. It lives on while groups are in it. */
export class Container implements FileOps {
  readonly ioctlTables: readonly string[] = ['vfio-container']
  readonly #backends: readonly ContainerBackend[]
  readonly #groups: GroupInContainer[] = []
  /** What the group that joined last said; none mix. */
  #noIommu = false
  #session: ContainerSession | undefined

  /** @param backends in the order they are tried */
  constructor(backends: readonly ContainerBackend[]) {
    this.#backends = backends
  }

  /** A back end was chosen. */
  get chosen(): boolean {
    return this.#session !== undefined
  }
  /** What emulated devices reach through the back end. */
  get pins(): ContainerPins | undefined {
    return this.#session?.pins
  }
  ioctl(caller: Caller, number: number, arg: bigint): number {
    if (dispatch.has(number)) return dispatch.run(this, caller, number, arg)
    if (!this.#session) throw new UapiError('EINVAL', 'ioctl', { file: 'vfio-container', number })
    return this.#session.ioctl(caller, number, arg)
  }
  release(): void {
    // Its groups keep it.
  }

  checkExtension(extension: number): number {
    if (this.#session) return this.#session.checkExtension(extension)
    const asked = this.#backends.filter((backend) => this.#groups.length === 0 || this.#allows(backend))
    return asked.some(({ extensions }) => extensions.includes(extension)) ? 1 : 0
  }
  /** @throws UapiError EINVAL without groups or a second time, ENODEV for a type nobody has, what the back end answers */
  setIommu(caller: Caller, type: number): void {
    if (this.#groups.length === 0 || this.#session) throw new UapiError('EINVAL', 'VFIO_SET_IOMMU', { type })
    let refusal = new UapiError('ENODEV', 'VFIO_SET_IOMMU', { type })
    for (const backend of this.#backends) {
      if (!this.#allows(backend) || !backend.extensions.includes(type)) continue
      try {
        this.#session = this.#opened(backend.open(caller, type), caller)
        return
      } catch (error) {
        if (!(error instanceof UapiError)) throw error
        refusal = error
      }
    }
    throw refusal
  }

  /**
   * A group comes: its DMA is claimed for it.
   * @throws UapiError EPERM when somebody else uses its DMA, or no-IOMMU groups and others would mix; what the back end answers.
   * Nothing has changed then
   */
  add(caller: Caller, group: GroupInContainer): void {
    const noIommu = group.kind === 'noiommu'
    if (this.#groups.length > 0 && this.#noIommu !== noIommu)
      throw new UapiError('EPERM', 'VFIO_GROUP_SET_CONTAINER', { group: group.id, kind: group.kind })
    group.iommu?.claim(group, false)
    try {
      this.#session?.attach(group, caller)
    } catch (error) {
      group.iommu?.release(group)
      throw error
    }
    this.#noIommu = noIommu
    this.#groups.unshift(group)
  }
  /** A group goes; with the last one goes what was mapped, and the back end. */
  remove(group: GroupInContainer): void {
    this.#session?.detach(group)
    group.iommu?.release(group)
    this.#groups.splice(this.#groups.indexOf(group), 1)
    if (this.#groups.length > 0) return
    this.#session?.close()
    this.#session = undefined
  }

  /** vfio_iommu_driver_allowed */
  #allows({ noIommu = false }: ContainerBackend): boolean {
    return noIommu === this.#noIommu
  }
  #opened(session: ContainerSession, caller: Caller): ContainerSession {
    const attached: ContainerMember[] = []
    try {
      for (const group of this.#groups) {
        session.attach(group, caller)
        attached.push(group)
      }
      return session
    } catch (error) {
      for (const group of attached.toReversed()) session.detach(group)
      session.close()
      throw error
    }
  }
}

type Row = IoctlRow<Container, never>

const getApiVersion: Row = { call: VFIO_GET_API_VERSION, run: () => ({ ret: VFIO_API_VERSION }) }
const checkExtension: Row = {
  call: VFIO_CHECK_EXTENSION,
  run: (container, _input, _caller, arg) => ({ ret: container.checkExtension(Number(arg)) }),
}
const setIommu: Row = {
  call: VFIO_SET_IOMMU,
  run(container, _input, caller, arg) {
    container.setIommu(caller, Number(arg))
    return { ret: 0 }
  },
}

/** The container's own calls; all others are its back end's. */
export const CONTAINER_TABLE: IoctlTable = {
  file: 'vfio-container',
  convention: VFIO_CONVENTION,
  rows: [getApiVersion, checkExtension, setIommu],
}
const dispatch = new IoctlDispatch([CONTAINER_TABLE])
