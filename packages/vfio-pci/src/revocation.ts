/** Taken away, or given back: what mappings and dma-bufs of a BAR tell those who hold them. */
type Listener = (revoked: boolean) => void

/** Whether it is taken away now, and who wants to hear of a change. */
export class Revocation {
  #listeners: readonly Listener[] = []
  #revoked: boolean

  constructor(revoked: boolean) {
    this.#revoked = revoked
  }

  get revoked(): boolean {
    return this.#revoked
  }
  /** Takes it away, or gives it back; tells when that changes anything. */
  set(revoked: boolean): void {
    if (this.#revoked === revoked) return
    this.#revoked = revoked
    for (const listener of this.#listeners) listener(revoked)
  }
  /** @returns stops telling */
  listen(listener: Listener): () => void {
    const own: Listener = (revoked) => listener(revoked)
    this.#listeners = [...this.#listeners, own]
    return () => {
      this.#listeners = this.#listeners.filter((other) => other !== own)
    }
  }
}
