/** A dma-buf: a file that stands for device memory others may reach by DMA, until its owner takes it back (include/linux/dma-buf.h). */
import type { Hpa } from '../address.ts'
import type { FileOps } from './file-ops.ts'

/** A file of that kind; whoever maps one asks the file for `dmaBuf`. */
export interface DmaBuf extends FileOps {
  readonly dmaBuf: {
    /** Bytes of all ranges. */
    readonly bytes: bigint
    /** Where it lies, in order. */
    readonly ranges: readonly { readonly hpa: Hpa; readonly bytes: number }[]
    /** Its memory does not answer now: the device sleeps, its memory is off, it is being reset, or it is gone. */
    readonly revoked: boolean
    /**
     * Calls `listener` when it is taken back, before that takes effect, and when it is given again.
     * @returns stops calling
     */
    onRevoke(listener: (revoked: boolean) => void): () => void
  }
}

/** Whether a file is a dma-buf. */
export const isDmaBuf = (file: FileOps): file is DmaBuf => 'dmaBuf' in file
