/** One open /dev/iommu, or /dev/vfio/vfio where iommufd serves it. drivers/iommu/iommufd/main.c iommufd_fops. */
import {
  type AddressSpaceFile,
  type AddressSpaces,
  type Caller,
  type IoctlDispatch,
  type Mapping,
  type MmapRequest,
} from '@ioasis/core'
import { Access } from './access.ts'
import type { IommufdContext } from './context.ts'
import { bindDevice } from './device.ts'
import { compatIoas, joinCompat } from './vfio-compat.ts'
import { VfioDevice } from './vfio-device.ts'

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
      bindDevice: (_fn, device) => new VfioDevice(bindDevice(context, device, context.parts.groups.groupOf(device))),
      bindAccess: (user) => context.objects.make(() => new Access(context, user)),
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
  mmap(_caller: Caller, request: MmapRequest): Mapping {
    return this.#context.mmaps.map(request)
  }
  release(): void {
    this.#context.release()
  }
}
