/** A host with one file that answers a few calls, in the shape of iommufd's: enough to see the player work. */
import {
  bytes,
  createHost,
  type FileOps,
  FileNode,
  type Host,
  ioctlCall,
  IoctlDispatch,
  IOMMUFD_CONVENTION,
  IoctlTable,
  type Plugin,
  struct,
  u32,
  u64,
  u8,
  UapiError,
  userPointer,
} from '@ioasis/core'
import type { TraceScenario } from './trace-file.ts'
import type { TraceMachine } from './trace-world.ts'

const ALLOC = struct('iommu_ioas_alloc', { size: u32, flags: u32, out_ioas_id: u32 })
const HW_INFO = struct('iommu_hw_info', {
  size: u32,
  flags: u32,
  dev_id: u32,
  data_len: u32,
  data_uptr: userPointer('data_len', 'out'),
  out_data_type: u32,
  out_max_pasid_log2: u8,
  __reserved: bytes(3),
  out_capabilities: u64,
})

/** What `IOMMU_GET_HW_INFO` writes. */
export const HW_DATA: Uint8Array = Uint8Array.of(1, 2, 3, 4)

class FakeFile implements FileOps {
  ids = 0
  readonly #dispatch: IoctlDispatch
  constructor(dispatch: IoctlDispatch) {
    this.#dispatch = dispatch
  }
  ioctl(...[caller, number, arg]: Parameters<NonNullable<FileOps['ioctl']>>): number {
    return this.#dispatch.run(this, caller, number, arg)
  }
  release(): void {
    this.ids = 0
  }
}

const TABLE: IoctlTable = {
  file: 'fake',
  convention: IOMMUFD_CONVENTION,
  rows: [
    {
      call: ioctlCall('IOMMU_IOAS_ALLOC', 0x3b81, ALLOC),
      run: (file: FakeFile, { flags }: { flags: number }) => {
        if (flags === 13) throw new Error('a promise is broken')
        if (flags !== 0) throw new UapiError('EOPNOTSUPP', 'IOMMU_IOAS_ALLOC', { flags })
        return { ret: 0, out: { out_ioas_id: ++file.ids } }
      },
    },
    {
      call: ioctlCall('IOMMU_GET_HW_INFO', 0x3b8a, HW_INFO),
      run: (_file: FakeFile, input: { data_len: number; data_uptr: bigint }, caller) => {
        const room = HW_DATA.subarray(0, input.data_len)
        if (caller.process.addressSpace.copyOut(input.data_uptr, room) < room.length) {
          throw new UapiError('EFAULT', 'IOMMU_GET_HW_INFO')
        }
        return { ret: 0, out: { data_len: HW_DATA.length, out_data_type: 1, out_capabilities: 8n } }
      },
    },
  ],
}

const fake: Plugin = {
  name: 'fake',
  contract: 1,
  provides: [FileNode, IoctlTable],
  setup: (host) => {
    const dispatch = new IoctlDispatch([TABLE])
    host.provide(IoctlTable, TABLE)
    host.provide(FileNode, { path: '/dev/iommu', open: () => new FakeFile(dispatch) })
  },
}

/** A fresh machine. */
export function fakeMachine(plugins: readonly Plugin[] = []): TraceMachine & { readonly host: Host } {
  return { host: createHost({ plugins: [fake, ...plugins] }), devices: {} }
}

/** A recorded step; `ret` 0, no error and no fields unless they are given. */
export interface StepText {
  readonly src: string
  readonly op?: string
  readonly in?: Readonly<Record<string, unknown>>
  readonly ret?: number | string
  readonly errno?: string | null
  readonly out?: Readonly<Record<string, unknown>>
}

/** A scenario of these steps, numbers are pauses. */
export function scenarioOf(...lines: readonly (StepText | number)[]): TraceScenario {
  let count = 0
  return {
    scenario: 'area/name',
    title: 'a title',
    machine: 'toy.kernel',
    lines: lines.map((line) => {
      if (typeof line === 'number') return { kind: 'pause', ms: line }
      const { src, op = src.split(' ')[0] ?? '', in: inputs = {}, ret = 0, errno = null, out = {} } = line
      return { kind: 'step', step: ++count, op, in: inputs, ret, errno, out, src }
    }),
  }
}

/** The step that opens the fake file as `@iommu`. */
export const OPEN: StepText = { src: 'open iommu /dev/iommu', in: { path: '/dev/iommu', flags: 'rw' } }
