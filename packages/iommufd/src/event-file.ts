/** The file of a queue: it keeps the queue and the context. drivers/iommu/iommufd/eventq.c iommufd_eventq_init. */
import {
  type Caller,
  type FileOps,
  FdTable,
  type HandPiece,
  installFile,
  POLL,
  type TakePiece,
  UapiError,
  type WaitQueue,
} from '@ioasis/core'
import type { IommufdContext } from './context.ts'
import type { IommufdObject } from './object.ts'

/** A queue that user space reads. */
export interface EventQueue extends IommufdObject {
  readonly waitQueue: WaitQueue
  readonly hasWaiting: boolean
  /** Hands over what fits into `bytes`; what cannot be handed over stays. */
  read(bytes: number, hand: HandPiece): number
  /** Takes answers, one after the other; absent: nothing can be written. */
  write?(bytes: number, take: TakePiece): number
}

/** The file of a queue. */
export class EventFile implements FileOps {
  readonly waitQueue: WaitQueue
  readonly #context: IommufdContext
  readonly #queue: EventQueue

  constructor(context: IommufdContext, queue: EventQueue) {
    this.#context = context
    this.#queue = queue
    this.waitQueue = queue.waitQueue
    queue.users++
    context.hold()
  }
  read(caller: Caller, into: Uint8Array): number {
    let at = 0
    return this.readPieces(caller, into.length, (piece) => {
      into.set(piece, at)
      at += piece.length
      return true
    })
  }
  readPieces(_caller: Caller, bytes: number, hand: HandPiece): number {
    return this.#queue.read(bytes, hand)
  }
  write(caller: Caller, from: Uint8Array): number {
    let at = 0
    return this.writePieces(caller, from.length, (bytes) => from.subarray(at, (at += bytes)))
  }
  writePieces(_caller: Caller, bytes: number, take: TakePiece): number {
    if (!this.#queue.write) throw new UapiError('EINVAL', 'iommufd event write')
    return this.#queue.write(bytes, take)
  }
  poll(): number {
    return (this.#queue.write ? POLL.OUT : 0) | (this.#queue.hasWaiting ? POLL.IN : 0)
  }
  release(): void {
    this.#queue.users--
    this.#context.release()
  }
}

/**
 * Makes a queue with its file. The descriptor is closed on exec, as every one the kernel makes here.
 * @throws UapiError EMFILE, ENOMEM; nothing is left then
 */
export function openQueue(
  context: IommufdContext,
  caller: Caller,
  make: () => EventQueue,
  name: string,
): { readonly id: number; readonly fd: number } {
  let fd = 0
  const { id } = context.objects.make(make, (queue) => {
    try {
      fd = installFile(caller, new EventFile(context, queue), { cloexec: true, name: `anon_inode:${name}` })
    } catch (error) {
      // The file was released already.
      queue.destroy()
      throw error
    }
  })
  return { id, fd }
}

/** Undoes that: the caller could not be told. */
export function closeQueue(
  context: IommufdContext,
  caller: Caller,
  made: { readonly id: number; readonly fd: number },
): void {
  FdTable.of(caller.process).close(made.fd, caller)
  context.objects.destroy(made.id)
}
