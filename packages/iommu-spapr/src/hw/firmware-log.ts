/**
 * What the kernel asked of firmware, in order. Long runs are one entry, as in the recordings of a hypervisor's log: calls that
 * stuff one range after the other, and a scan that reads zero and writes zero to entry after entry.
 */

/** One call, or a run of them. */
export interface FirmwareCall {
  /** `OPAL_...`, `H_...`, `ibm,...`; `window-reset`: a bridge's windows were dropped and the default one made again; `scan-clear`. */
  readonly call: string
  /** Number or token. */
  readonly number?: number
  readonly args: Readonly<Record<string, number | bigint>>
  readonly ret: number
  /** Calls in this run, 1 when absent; of a scan: pairs. */
  readonly calls?: number
  /** Of a run: the bus address after the last range stuffed, or of the last entry scanned. */
  readonly lastIoba?: bigint
}

/** Collects while somebody wants it. */
export class FirmwareLog {
  /** Whether calls are written down. */
  wanted = false
  readonly #calls: FirmwareCall[] = []

  /** Calls so far, oldest first. */
  get calls(): readonly FirmwareCall[] {
    return this.#calls
  }
  /** Forgets what was collected. */
  clear(): void {
    this.#calls.length = 0
  }
  /** Calls made meanwhile are not written down. */
  unwritten<T>(ask: () => T): T {
    const { wanted } = this
    this.wanted = false
    try {
      return ask()
    } finally {
      this.wanted = wanted
    }
  }
  add(call: FirmwareCall): void {
    if (!this.wanted) return
    const merged = this.#stuffedOn(call) || this.#scannedOn(call)
    if (!merged) this.#calls.push(call)
  }

  /** A stuff that goes on where the last one stopped. */
  #stuffedOn(call: FirmwareCall): boolean {
    const last = this.#calls.at(-1)
    if (call.call !== 'H_STUFF_TCE' || last?.call !== 'H_STUFF_TCE' || call.ret !== 0 || last.ret !== 0) return false
    const same = (name: string): boolean => last.args[name] === call.args[name]
    if (!same('liobn') || !same('npages') || !same('value') || last.lastIoba !== call.args['ioba']) return false
    this.#calls[this.#calls.length - 1] = {
      ...last,
      calls: (last.calls ?? 1) + 1,
      ...(call.lastIoba === undefined ? {} : { lastIoba: call.lastIoba }),
    }
    return true
  }
  /** The second half of a pair that changed nothing. */
  #scannedOn(call: FirmwareCall): boolean {
    const get = this.#calls.at(-1)
    if (call.call !== 'H_PUT_TCE' || call.args['tce'] !== 0n || call.ret !== 0) return false
    if (get?.call !== 'H_GET_TCE' || get.args['tce'] !== 0n || get.args['ioba'] !== call.args['ioba']) return false
    this.#calls.pop()
    const { liobn, ioba } = call.args as { liobn: number; ioba: bigint }
    const scan = this.#calls.at(-1)
    const step = scan?.call === 'scan-clear' ? ioba - (scan.lastIoba as bigint) : 0n
    const page = scan?.args['page']
    if (scan && step > 0n && scan.args['liobn'] === liobn && (page === undefined || page === step)) {
      const args = { ...scan.args, page: step }
      this.#calls[this.#calls.length - 1] = { ...scan, args, calls: (scan.calls ?? 1) + 1, lastIoba: ioba }
    } else this.#calls.push({ call: 'scan-clear', args: { liobn, ioba }, ret: 0, calls: 1, lastIoba: ioba })
    return true
  }
}
