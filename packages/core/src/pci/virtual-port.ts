/**
 * What a physical function's SR-IOV capability says to its virtual functions: how many answer, and where their BARs lie. PCI
 * Express Base Specification r6.0 "9.3.3 SR-IOV Extended Capability".
 */
import { dword, word } from './capability-chain.ts'
import type { Bar } from './function.ts'
import { SRIOV } from './header.ts'

type Sized = Omit<Bar, 'window'>

/** The registers of one physical function. */
export class VirtualPort {
  /** Offset of the capability. */
  readonly at: number
  /** BARs of each virtual function. */
  readonly bars: readonly Sized[]
  readonly #config: Uint8Array

  /** @param config the live bytes of the physical function */
  constructor(config: Uint8Array, at: number, bars: readonly Sized[]) {
    this.#config = config
    this.at = at
    this.bars = bars
  }

  /** VF Enable. */
  get enabled(): boolean {
    return (word(this.#config, this.at + SRIOV.CONTROL) & SRIOV.VFE) !== 0
  }
  /** VF Enable and VF Memory Space Enable. */
  get decodes(): boolean {
    const both = SRIOV.VFE | SRIOV.MSE
    return (word(this.#config, this.at + SRIOV.CONTROL) & both) === both
  }
  /** Virtual functions that answer now. */
  get count(): number {
    return this.enabled ? word(this.#config, this.at + SRIOV.NUM_VFS) : 0
  }
  /** Where BAR `index` of all virtual functions together begins; 0: nowhere. */
  base({ index, wide }: Sized): number {
    const register = this.at + SRIOV.BAR0 + 4 * index
    const low = (dword(this.#config, register) & ~0xf) >>> 0
    return low + (wide ? dword(this.#config, register + 4) * 2 ** 32 : 0)
  }
  /** Where a BAR of one virtual function lies; 0: nowhere. */
  address(bar: Sized, virtual: number): number {
    const base = this.base(bar)
    return base === 0 ? 0 : base + virtual * bar.size
  }
}
