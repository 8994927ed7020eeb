/** Nested domains and virtual IOMMUs on paper: a nested domain is a number, and an invalidation sets it to 0. */
import {
  type HwQueue,
  type NestedDomain,
  type PagingDomain,
  RegionPages,
  struct,
  u32,
  u64,
  UapiError,
  type UserData,
  type Viommu,
  type ViommuFrame,
  type ViommuSupport,
} from '@ioasis/core'

/** The only type of data that paper knows, for everything. */
export const PAPER_TYPE = 0x50
/** Its data: one number. */
export const PAPER_DATA = struct('paper_data', { value: u32 })
/** Data for a virtual IOMMU, with its answer. */
export const PAPER_VIOMMU = struct('paper_viommu', { value: u32, echo: u32, offset: u64 })
/** One invalidation: the number that is to be there, or the virtual device. */
export const PAPER_INVALIDATION = struct('paper_invalidation', { value: u32, extra: u32 })

/** A first stage that holds a number. */
export class PaperNested implements NestedDomain {
  readonly type = 'nested'
  readonly parent: PagingDomain
  value: number
  users = 0
  freed = false

  constructor(parent: PagingDomain, value: number) {
    this.parent = parent
    this.value = value
  }
  invalidate: NonNullable<NestedDomain['invalidate']> = (entries) => {
    for (let i = 0; i < entries.count; i++) {
      const { value } = entries.read(PAPER_INVALIDATION, PAPER_TYPE, i, 4)
      if (value !== this.value) throw new UapiError('EINVAL', 'paper invalidation', { value })
      entries.done++
    }
  }
  free(): void {
    if (this.users > 0) throw new Error('paper: a nested domain is freed while attached')
    this.freed = true
  }
}

/** What paper did, for tests to look at. */
export interface PaperViommus {
  readonly support: ViommuSupport
  readonly frames: ViommuFrame[]
  readonly queues: { readonly queue: HwQueue; readonly index: number; readonly hpa: number }[]
  readonly log: string[]
}

/** @param nested told of each nested domain */
export function paperViommus(nested: (made: PaperNested) => PaperNested): PaperViommus {
  const all: PaperViommus = {
    frames: [],
    queues: [],
    log: [],
    support: {
      has: (type) => type === PAPER_TYPE,
      alloc(frame, parent, data) {
        const offset = data && answer(frame, data)
        all.frames.push(frame)
        return viommu(all, frame, parent, offset, nested)
      },
    },
  }
  return all
}

/** Offers two pages, and says where. */
function answer(frame: ViommuFrame, data: UserData): bigint {
  const { value } = data.read(PAPER_VIOMMU, PAPER_TYPE)
  const object = new RegionPages({ name: 'paper', first: 0x10_0000, bytes: 8192, pageBytes: 4096, pinnable: false })
  const offset = frame.allocMmap({ kind: 'pages', object, firstPage: 0 }, 8192)
  try {
    data.write(PAPER_VIOMMU, { value, echo: value, offset }, PAPER_TYPE)
  } catch (error) {
    frame.destroyMmap(offset)
    throw error
  }
  return offset
}

function viommu(
  all: PaperViommus,
  frame: ViommuFrame,
  parent: PagingDomain,
  offset: bigint | undefined,
  nested: (made: PaperNested) => PaperNested,
): Viommu {
  return {
    allocNested: (data) => nested(new PaperNested(parent, data.read(PAPER_DATA, PAPER_TYPE).value)),
    invalidate(entries) {
      for (const { value } of entries.readAll(PAPER_INVALIDATION, PAPER_TYPE)) {
        const device = frame.deviceOf(BigInt(value))
        if (!device) throw new UapiError('EINVAL', 'paper invalidation', { value })
        all.log.push(`invalidated ${device.fn?.name}`)
        entries.done++
      }
    },
    deviceAdded({ device, virtId }) {
      if (virtId === 13n) throw new UapiError('ENOSPC', 'paper device', { virtId })
      all.log.push(`added ${device.fn?.name} as ${virtId}`)
      return () => all.log.push(`took ${virtId}`)
    },
    hwQueues: {
      has: (type) => type === PAPER_TYPE,
      init(queue, index, hpa) {
        const before = all.queues.at(-1)
        if (index > 7) throw new UapiError('EINVAL', 'paper queue', { index })
        if (before) queue.depend(before.queue)
        all.queues.push({ queue, index, hpa })
        return {
          destroy: () => {
            all.queues.pop()
            if (before) queue.undepend(before.queue)
          },
        }
      },
    },
    destroy() {
      if (offset !== undefined) frame.destroyMmap(offset)
      all.log.push('gone')
    },
  }
}
