/** The unit's own interrupts: through its MSI capability, or the XT registers; 48882 "IOMMU Interrupt Support". */
import { bitsOf, get, join } from '@ioasis/core'
import { CTRL, XT_INTERRUPT } from '../spec/registers.ts'
import type { AmdRegisters } from './registers.ts'

/** Sends a message signalled interrupt of the unit itself; it is not remapped. @param address u64 */
export type Raise = (address: bigint, data: number) => void
/** The MSI capability of the unit's PCI function, as software programmed it. */
export interface MsiCapability {
  enabled: boolean
  /** u64. */
  address: bigint
  data: number
}

/** Which of the XT registers an interrupt takes. */
export type InterruptSource = 'XT_GENERAL' | 'XT_PPR'

/** Sends the unit's interrupts. */
export class UnitInterrupts {
  /** Set by the PCI function, or through the register mirror (EFR.MsiCapMmioSup). */
  readonly msi: MsiCapability = { enabled: false, address: 0n, data: 0 }
  readonly #registers: AmdRegisters
  readonly #raise: Raise

  constructor(registers: AmdRegisters, raise: Raise, mirrored: boolean) {
    this.#registers = registers
    this.#raise = raise
    if (!mirrored) return
    const mirror = (): void => {
      this.msi.enabled = (registers.lo('MSI_CAPABILITY') & 0x1_0000) !== 0
      this.msi.address = join(registers.lo('MSI_ADDRESS_HI'), registers.lo('MSI_ADDRESS_LO'))
      this.msi.data = registers.lo('MSI_DATA')
    }
    for (const name of ['MSI_CAPABILITY', 'MSI_ADDRESS_LO', 'MSI_ADDRESS_HI', 'MSI_DATA'] as const)
      registers.onWrite(name, mirror)
  }

  /** Sends one; nothing happens while neither MSI nor the XT registers are on. */
  send(source: InterruptSource): void {
    const registers = this.#registers
    if (registers.hi('CTRL') & bitsOf(CTRL.IntCapXTEn)) {
      this.#sendXt(registers.lo(source), registers.hi(source))
    } else if (this.msi.enabled) this.#raise(this.msi.address, this.msi.data)
  }

  /** A destination above 255 takes the upper address bits, as in x2APIC messages of hosts with extended destinations. */
  #sendXt(lo: number, hi: number): void {
    const dest = (get(XT_INTERRUPT.DestHi, lo, hi) * 0x100_0000 + get(XT_INTERRUPT.DestLo, lo, hi)) >>> 0
    const mode = get(XT_INTERRUPT.DestMode, lo, hi) << 2
    const address = (BigInt(dest >>> 8) << 40n) | BigInt(0xfee0_0000 + (dest & 0xff) * 0x1000 + mode)
    this.#raise(address, (get(XT_INTERRUPT.DeliveryMode, lo, hi) << 8) | get(XT_INTERRUPT.Vector, lo, hi))
  }
}
