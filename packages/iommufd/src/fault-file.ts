/** The file of a fault queue: it keeps the queue and the context. drivers/iommu/iommufd/eventq.c. */
import { type Caller, type FileOps, POLL, type WaitQueue } from '@ioasis/core'
import type { IommufdContext } from './context.ts'
import type { FaultQueue } from './fault-queue.ts'

/** The file of a queue. */
export class FaultFile implements FileOps {
  readonly waitQueue: WaitQueue
  readonly #context: IommufdContext
  readonly #queue: FaultQueue

  constructor(context: IommufdContext, queue: FaultQueue) {
    this.#context = context
    this.#queue = queue
    this.waitQueue = queue.waitQueue
    queue.users++
    context.hold()
  }
  read(_caller: Caller, into: Uint8Array): number {
    return this.#queue.read(into)
  }
  write(_caller: Caller, from: Uint8Array): number {
    return this.#queue.write(from)
  }
  poll(): number {
    return POLL.OUT | (this.#queue.hasWaiting ? POLL.IN : 0)
  }
  release(): void {
    this.#queue.users--
    this.#context.release()
  }
}
