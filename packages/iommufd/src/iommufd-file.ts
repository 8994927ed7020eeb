/** One open /dev/iommu, or /dev/vfio/vfio where iommufd serves it. drivers/iommu/iommufd/main.c iommufd_fops. */
import {
  type AddressSpaceFile,
  type AddressSpaces,
  type Caller,
  type IoctlDispatch,
  type Mapping,
  type MmapRequest,
  UapiError,
} from '@ioasis/core'
import { Access } from './access.ts'
import type { IommufdContext } from './context.ts'
import { bindDevice } from './device.ts'
import { compatIoas, joinCompat } from './vfio-compat.ts'

/** The file: what user space calls, and what VFIO asks of it. */
export class IommufdFile implements AddressSpaceFile {
  readonly ioctlTables: readonly string[] = ['iommufd']
  readonly addressSpaces: AddressSpaces
  readonly #context: IommufdContext
  readonly #dispatch: IoctlDispatch

  /** @param context held once for the file */
  constructor(context: IommufdContext, dispatch: IoctlDispatch) {
    this.#context = context
    this.#dispatch = dispatch
    this.addressSpaces = {
      bindDevice: (fn, device) => bindDevice(context, fn, device),
      bindAccess: (user) => context.objects.add(new Access(context, user)),
      owns: (group) => context.groups.has(group),
      container: {
        join: ({ noIommu }) => {
          joinCompat(context, noIommu)
          context.hold()
          return () => context.release()
        },
        ioas: () => compatIoas(context, 'iommufd container').id,
      },
    }
  }

  ioctl(caller: Caller, number: number, arg: bigint): number {
    return this.#dispatch.run(this.#context, caller, number, arg)
  }
  /** Nothing has an offset to map: hardware queues would give one. */
  mmap(_caller: Caller, { shared, offset }: MmapRequest): Mapping {
    throw new UapiError(shared ? 'ENXIO' : 'EINVAL', 'iommufd mmap', { offset })
  }
  release(): void {
    this.#context.release()
  }
}
