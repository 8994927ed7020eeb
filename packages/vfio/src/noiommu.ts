/**
 * The container of groups without an IOMMU: nothing is mapped or translated, privilege is all there is.
 * drivers/vfio/container.c vfio_noiommu_open, vfio_noiommu_ioctl.
 */
import { type Caller, type ContainerBackend, type ContainerSession, UapiError } from '@ioasis/core'
import { VFIO_EXTENSION } from '@ioasis/uapi'
import { mustBePrivileged } from './group.ts'

/** The module's parameter `enable_unsafe_noiommu_mode`, and what its use leaves behind. */
export interface NoIommuMode {
  /** Functions in no group get one when a VFIO driver takes them. */
  enabled: boolean
  /** A device that nothing protects memory from was given to user space (TAINT_USER). */
  tainted: boolean
}

/** VFIO_NOIOMMU_IOMMU as a container finds it. */
export class NoIommuBackend implements ContainerBackend {
  readonly name = 'vfio-noiommu'
  readonly noIommu = true
  readonly #mode: NoIommuMode

  constructor(mode: NoIommuMode) {
    this.#mode = mode
  }
  get extensions(): readonly number[] {
    return this.#mode.enabled ? [VFIO_EXTENSION.VFIO_NOIOMMU_IOMMU] : []
  }
  open(caller: Caller, type: number): ContainerSession {
    if (type !== VFIO_EXTENSION.VFIO_NOIOMMU_IOMMU) throw new UapiError('EINVAL', 'vfio_noiommu_open', { type })
    mustBePrivileged(caller, 'vfio_noiommu_open')
    return {
      checkExtension: (extension) => (this.extensions.includes(extension) ? 1 : 0),
      ioctl: (_caller, number) => {
        throw new UapiError('ENOTTY', 'ioctl', { file: this.name, number })
      },
      attach: () => undefined,
      detach: () => undefined,
      close: () => undefined,
    }
  }
}
