/** The interrupt sink of the case machine: one local APIC at reset, with id 0 and no logical id, that nobody serves. */
import { type Bdf, decodeMsi, hex, type InterruptMessage, type Interrupts } from '@ioasis/core'
import type { Delivered } from './case-file.ts'

/** Delivery modes by their code, Intel SDM vol. 3 "Message Data Register Format". */
const MODES = ['fixed', 'lowest-priority', 'smi', 'reserved', 'nmi', 'init', 'reserved', 'extint']

/** Keeps what is delivered. No kernel runs here, so no handler is ever called and no vector handed out. */
export class CaseInterrupts implements Interrupts {
  /** Everything delivered so far, oldest first. */
  readonly delivered: InterruptMessage[] = []
  readonly #lines = new Set<string>()

  deliver(message: InterruptMessage): void {
    this.delivered.push(message)
  }
  /** A message that was not remapped. */
  deliverMessage(address: bigint, data: number): void {
    this.deliver(decodeMsi({ address, data }))
  }
  /** Vectors in the local APIC's request register, lowest first. */
  get pending(): readonly number[] {
    const mine = this.delivered.filter((m) => m.deliveryMode <= 1 && reachesFirstCpu(m))
    return [...new Set(mine.map((m) => m.vector))].toSorted((a, b) => a - b)
  }
  handle(): () => void {
    return () => undefined
  }
  /** @throws RangeError always: there is no kernel to serve it */
  allocate(): number {
    throw new RangeError('case machine: no kernel runs here, vectors are not handed out')
  }
  free(): void {
    // Nothing was handed out.
  }
  setLine({ segment, bdf, pin }: { segment: number; bdf: Bdf; pin: number }, asserted: boolean): void {
    const key = `${segment}:${bdf}:${pin}`
    if (asserted) this.#lines.add(key)
    else this.#lines.delete(key)
  }
  lineAsserted({ segment, bdf, pin }: { segment: number; bdf: Bdf; pin: number }): boolean {
    return this.#lines.has(`${segment}:${bdf}:${pin}`)
  }
  watchLine(): () => void {
    return () => undefined
  }
}

/** An interrupt in the words of the case files. */
export function deliveredText(message: InterruptMessage): Delivered {
  return {
    vector: hex(message.vector),
    dest: hex(message.dest),
    destMode: message.destMode,
    deliveryMode: MODES[message.deliveryMode] ?? 'reserved',
  }
}

/** An xAPIC sees eight bits of destination; at reset its logical id is 0, so that only a broadcast finds it by that. */
function reachesFirstCpu({ dest, destMode }: InterruptMessage): boolean {
  const mda = dest & 0xff
  return mda === 0xff || (destMode === 'physical' && mda === 0)
}
