/** Which requester is attached to which flat domain, and so what a DMA would do: the reference for a whole host's IOMMUs. */
import type { Bdf, Hpa, Iova } from '@ioasis/core'
import type { FlatDomain } from './flat-domain.ts'

/** What a requester can be attached to: a domain, everything as it is, or nothing. */
export type FlatAttachment = FlatDomain | 'identity' | 'blocked'

/** The attachments of one host. Requesters that are not attached are blocked. */
export class FlatHost {
  readonly #attached = new Map<Bdf, FlatAttachment>()

  /** Attaches, whatever was attached before. */
  attach(requester: Bdf, to: FlatAttachment): void {
    this.#attached.set(requester, to)
  }
  /** The function is gone. */
  remove(requester: Bdf): void {
    this.#attached.delete(requester)
  }
  /** What a requester is attached to. */
  attachment(requester: Bdf): FlatAttachment {
    return this.#attached.get(requester) ?? 'blocked'
  }
  /** Requesters attached to a domain. */
  users(domain: FlatAttachment): readonly Bdf[] {
    return [...this.#attached].filter(([, to]) => to === domain).map(([requester]) => requester)
  }

  /** Where one byte of a DMA lands; undefined: it faults. */
  lands(requester: Bdf, iova: Iova, write: boolean): Hpa | undefined {
    const to = this.attachment(requester)
    if (to === 'blocked') return undefined
    if (to === 'identity') return Number(iova)
    const prot = to.at(iova)?.prot
    return prot && (write ? prot.write : prot.read) ? to.lookup(iova) : undefined
  }
}
