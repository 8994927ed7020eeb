/** A BAR in a process's memory: taken away while the device's memory is off, given back afterwards. vfio_pci_zap_bars, vfio_pci_vmf_insert_pfn. */
import type { AccessSize, Cpu, Hpa, TrappedWindow } from '@ioasis/core'
import type { Resource } from './config/owner.ts'

type Listener = (revoked: boolean) => void

/** One BAR, mapped any number of times. */
export class BarWindow implements TrappedWindow {
  readonly bytes: number
  readonly #cpu: Cpu
  readonly #start: Hpa
  #listeners: readonly Listener[] = []
  #revoked: boolean

  constructor(cpu: Cpu, { start, size }: Resource, revoked: boolean) {
    this.#cpu = cpu
    this.#start = start
    this.bytes = size
    this.#revoked = revoked
  }

  load(offset: number, size: AccessSize): bigint | undefined {
    return this.#revoked ? undefined : this.#cpu.load(this.#start + offset, size)
  }
  store(offset: number, size: AccessSize, value: bigint): boolean {
    if (this.#revoked) return false
    this.#cpu.store(this.#start + offset, size, value)
    return true
  }
  get hpa(): Hpa | undefined {
    return this.#revoked ? undefined : this.#start
  }
  onRevoke(listener: Listener): () => void {
    const own: Listener = (revoked) => listener(revoked)
    this.#listeners = [...this.#listeners, own]
    return () => {
      this.#listeners = this.#listeners.filter((other) => other !== own)
    }
  }

  /** Takes it away, or gives it back. */
  revoke(revoked: boolean): void {
    if (this.#revoked === revoked) return
    this.#revoked = revoked
    for (const listener of this.#listeners) listener(revoked)
  }
}
