/** How calls ended, by command. */

/** Of one command. */
export interface CommandStatistics {
  calls: number
  succeeded: number
  readonly errors: Map<string, number>
}

/** Of all. */
export class Statistics {
  readonly commands: Map<string, CommandStatistics> = new Map()
  /** System calls, those that are no ioctl included. */
  calls = 0
  /** Files that were mapped into an address space that they keep alive themselves: Linux never releases them. */
  circles = 0

  /** @param error name; undefined: it succeeded */
  count(name: string, error: string | undefined): void {
    const entry = this.of(name)
    entry.calls++
    if (error === undefined) entry.succeeded++
    else entry.errors.set(error, (entry.errors.get(error) ?? 0) + 1)
  }
  of(name: string): CommandStatistics {
    let entry = this.commands.get(name)
    if (!entry) this.commands.set(name, (entry = { calls: 0, succeeded: 0, errors: new Map() }))
    return entry
  }
  /** Part of the calls that succeeded, 0 to 1; 1 while there was none. */
  share(name: string): number {
    const { calls, succeeded } = this.of(name)
    return calls === 0 ? 1 : succeeded / calls
  }
  add(other: Statistics): void {
    this.calls += other.calls
    for (const [name, { calls, succeeded, errors }] of other.commands) {
      const entry = this.of(name)
      entry.calls += calls
      entry.succeeded += succeeded
      for (const [error, n] of errors) entry.errors.set(error, (entry.errors.get(error) ?? 0) + n)
    }
  }
  /** One line for each command. */
  get table(): string {
    return [...this.commands]
      .filter(([, { calls }]) => calls > 0)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, { calls, succeeded, errors }]) => {
        const list = [...errors].toSorted(([, a], [, b]) => b - a).map(([error, n]) => `${error} ${n}`)
        const part = `${Math.round((100 * succeeded) / calls)}`
        return `${name.padEnd(38)}${String(calls).padStart(7)}${part.padStart(4)} %  ${list.join(' ')}`
      })
      .join('\n')
  }
}
