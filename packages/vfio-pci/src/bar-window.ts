/** A BAR in a process's memory: taken away while the device's memory is off, given back afterwards. vfio_pci_zap_bars, vfio_pci_vmf_insert_pfn. */
import type { AccessSize, Cpu, Hpa, TrappedWindow } from '@ioasis/core'
import type { Resource } from './config/owner.ts'
import { Revocation } from './revocation.ts'

/** One BAR, mapped any number of times. */
export class BarWindow implements TrappedWindow {
  readonly bytes: number
  readonly #cpu: Cpu
  readonly #start: Hpa
  readonly #revocation: Revocation

  constructor(cpu: Cpu, { start, size }: Resource, revoked: boolean) {
    this.#cpu = cpu
    this.#start = start
    this.bytes = size
    this.#revocation = new Revocation(revoked)
  }

  load(offset: number, size: AccessSize): bigint | undefined {
    return this.#revocation.revoked ? undefined : this.#cpu.load(this.#start + offset, size)
  }
  store(offset: number, size: AccessSize, value: bigint): boolean {
    if (this.#revocation.revoked) return false
    this.#cpu.store(this.#start + offset, size, value)
    return true
  }
  get hpa(): Hpa | undefined {
    return this.#revocation.revoked ? undefined : this.#start
  }
  onRevoke(listener: (revoked: boolean) => void): () => void {
    return this.#revocation.listen(listener)
  }

  /** Takes it away, or gives it back. */
  revoke(revoked: boolean): void {
    this.#revocation.set(revoked)
  }
}
