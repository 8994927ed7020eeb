/** Something that ends at once or later: Linux waits inside remove() for the last close, this kernel cannot sleep. */

/** How a removal stands. */
export interface Removal {
  readonly done: boolean
  /** Runs `action` once it is done; at once when it is. */
  onDone(action: () => void): void
}

/** The removal of a driver that had nothing to wait for. */
export const REMOVED: Removal = Object.freeze({ done: true, onDone: (action: () => void) => action() })

/** A removal that somebody finishes. */
export class Completion implements Removal {
  #done = false
  readonly #waiting: (() => void)[] = []

  get done(): boolean {
    return this.#done
  }
  onDone(action: () => void): void {
    if (this.#done) action()
    else this.#waiting.push(action)
  }
  /** @throws Error when it was finished before */
  finish(): void {
    if (this.#done) throw new Error('finished twice')
    this.#done = true
    for (const action of this.#waiting.splice(0)) action()
  }
}

/** Done once all of them are. */
export function allOf(removals: readonly Removal[]): Removal {
  const all = new Completion()
  let left = removals.length
  if (left === 0) all.finish()
  for (const removal of removals) {
    removal.onDone(() => {
      if (--left === 0) all.finish()
    })
  }
  return all
}
