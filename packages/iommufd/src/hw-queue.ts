/**
 * Queues in guest memory that hardware reads by host address: their pages lie together, and stay. drivers/iommu/iommufd/viommu.c
 * iommufd_hw_queue_alloc_ioctl, iommufd_hw_queue_alloc_phys.
 */
import { type Hpa, type HwQueue, type HwQueueHooks, type Iova, UapiError } from '@ioasis/core'
import { Access } from './access.ts'
import type { IommufdContext } from './context.ts'
import type { IommufdObject } from './object.ts'
import { type IommuHwQueueAlloc, U64_MAX } from './uapi.ts'
import { ViommuObject } from './viommu.ts'

const CALL = 'IOMMU_HW_QUEUE_ALLOC'
/** Linux makes a list of its pages, 8 bytes each, and gives no list longer than this (mm/slub.c __kvmalloc_node_noprof). */
const MOST_BYTES = 0x7fff_ffffn

/** One queue. It keeps its slice, and through an access of its own the area its pages lie in. */
export class HwQueueObject implements IommufdObject, HwQueue {
  readonly kind = 'hw-queue'
  id = 0
  users = 0
  readonly type: number
  readonly base: Iova
  readonly bytes: bigint
  readonly #context: IommufdContext
  readonly viommu: ViommuObject
  /** Queues that it needs. */
  readonly depends: HwQueueObject[] = []
  #access: Access | undefined
  #hooks: HwQueueHooks | undefined

  constructor(context: IommufdContext, viommu: ViommuObject, input: IommuHwQueueAlloc) {
    this.#context = context
    this.viommu = viommu
    this.type = input.type
    this.base = input.nesting_parent_iova
    this.bytes = input.length
    viommu.users++
  }

  /** @throws UapiError ERANGE, ENOENT, EINVAL, EPERM; EFAULT when its pages do not lie together; as the driver. Nothing is left then */
  init(index: number): void {
    try {
      const hpa = this.#pin()
      this.#hooks = this.viommu.viommu.hwQueues?.init(this, index, hpa)
    } catch (error) {
      this.destroy()
      throw error
    }
  }
  depend(other: HwQueue): void {
    const depended = this.#sibling(other)
    if (depended === this) throw new UapiError('EINVAL', 'iommufd_hw_queue_depend', { id: this.id })
    depended.users++
    this.depends.push(depended)
  }
  undepend(other: HwQueue): void {
    const depended = this.#sibling(other)
    depended.users--
    this.depends.splice(this.depends.indexOf(depended), 1)
  }
  destroy(): void {
    this.#hooks?.destroy()
    if (this.#access) {
      const { first, bytes } = this.#pages()
      this.#access.unpin(first, bytes)
      this.#access.unbind()
    }
    this.viommu.users--
  }

  #sibling(other: HwQueue): HwQueueObject {
    if (other instanceof HwQueueObject && other.viommu === this.viommu) return other
    throw new Error('iommufd: a queue depends on one of another virtual IOMMU')
  }
  /** Whole pages around it. @throws UapiError ERANGE */
  #pages(): { readonly first: Iova; readonly bytes: bigint } {
    const page = BigInt(this.#context.parts.pageBytes)
    const offset = this.base % page
    if (offset + this.bytes + page - 1n > U64_MAX) throw new UapiError('ERANGE', CALL, { length: this.bytes })
    return { first: this.base - offset, bytes: ((offset + this.bytes + page - 1n) / page) * page }
  }
  #pin(): Hpa {
    const { first, bytes } = this.#pages()
    if ((bytes / BigInt(this.#context.parts.pageBytes)) * 8n > MOST_BYTES)
      throw new UapiError('ENOMEM', CALL, { bytes })
    const access = this.#context.objects.make(() => new Access(this.#context))
    try {
      access.attachTo(this.viommu.parent.ioas)
      const runs = access.pin(first, bytes, { write: false })
      const scattered = runs.some(({ hpa }, i) => i > 0 && hpa !== endOf(runs[i - 1] as (typeof runs)[0]))
      if (scattered) {
        access.unpin(first, bytes)
        throw new UapiError('EFAULT', CALL, { iova: this.base })
      }
      this.#access = access
      return (runs[0]?.hpa as Hpa) + Number(this.base - first)
    } catch (error) {
      access.unbind()
      throw error
    }
  }
}

const endOf = ({ hpa, bytes }: { readonly hpa: Hpa; readonly bytes: number }): Hpa => hpa + bytes

/** @throws UapiError EOPNOTSUPP, EINVAL, EOVERFLOW, ENOENT; as `init` */
export function allocHwQueue(context: IommufdContext, input: IommuHwQueueAlloc): HwQueueObject {
  const { flags, type, length, nesting_parent_iova: iova, viommu_id, index } = input
  // Type 0 is IOMMU_HW_QUEUE_TYPE_DEFAULT: none.
  if (flags !== 0 || type === 0) throw new UapiError('EOPNOTSUPP', CALL, { flags, type })
  if (length === 0n) throw new UapiError('EINVAL', CALL, { length })
  if (iova + length - 1n > U64_MAX) throw new UapiError('EOVERFLOW', CALL, { iova, length })
  const viommu = context.objects.find(viommu_id, ViommuObject)
  if (!viommu.viommu.hwQueues?.has(type)) throw new UapiError('EOPNOTSUPP', CALL, { type })
  return context.objects.make(
    () => new HwQueueObject(context, viommu, input),
    (made) => made.init(index),
  )
}
