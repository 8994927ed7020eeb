/** Which kernel a host runs: read where tables of rows are built, never inside a row. */
import { type Token, token } from './plugin/token.ts'

/** One value of the host; what differs between the kernels a host can run. */
export interface Kernel {
  /** `7.2.12`. */
  readonly version: string
  /** Bytes of one CPU page: 4096, or 65536 on many POWER kernels. No code assumes 4096. */
  readonly pageSize: number
  /**
   * Who serves /dev/vfio/vfio: VFIO with type1, VFIO with SPAPR's back ends alone (POWER kernels have no type1), iommufd's
   * compatibility layer, or nobody.
   */
  readonly container: 'type1' | 'spapr' | 'iommufd' | 'none'
  /** CONFIG_VFIO_DEVICE_CDEV: /dev/vfio/devices/vfioN exist. */
  readonly cdev: boolean
  /** CONFIG_IOMMUFD: /dev/iommu exists. */
  readonly iommufd: boolean
  /** enable_unsafe_noiommu_mode is set. */
  readonly noiommu: boolean
  /** CONFIG_IOMMUFD_TEST. */
  readonly test: boolean
  /** CONFIG_IOMMU_DEBUGFS and the drivers' own: they show their tables under /sys/kernel/debug/iommu. */
  readonly iommuDebugFiles: boolean
}

/** The kernel of this host. Provided by `createHost` itself. */
export const Kernel: Token<Kernel> = token('Kernel')

/** Linux 7.2.12 with iommufd, cdev and native type1: the main oracle's kernel. */
export const LINUX_7_2: Kernel = Object.freeze({
  version: '7.2.12',
  pageSize: 4096,
  container: 'type1',
  cdev: true,
  iommufd: true,
  noiommu: false,
  test: false,
  iommuDebugFiles: true,
})
