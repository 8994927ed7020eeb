/** One serial port of the sample device: a 16550A whose output comes back as its input. 16550D data sheet, "Registers". */

const LCR_DLAB = 0x80
const LSR = { DATA_READY: 0x01, EMPTY: 0x60 } as const
const IER_RECEIVED = 0x01
const IIR = { NONE: 0x01, RECEIVED: 0x04 } as const
/** Bytes that wait to be read. */
const FIFO_BYTES = 16
/** Registers by offset. */
const REG = { DATA: 0, IER: 1, IIR: 2, LCR: 3, LSR: 5, MSR: 6 } as const

/** A port of eight registers. */
export class MttyPort {
  readonly #registers = new Uint8Array(8)
  readonly #divisor = new Uint8Array(2)
  readonly #fifo: number[] = []
  readonly #interrupt: () => void

  /** @param interrupt data came in and its interrupt is enabled */
  constructor(interrupt: () => void) {
    this.#interrupt = interrupt
  }
  read(offset: number): number {
    if (offset <= REG.IER && this.#divisorShown) return this.#divisor[offset] as number
    switch (offset) {
      case REG.DATA:
        return this.#fifo.shift() ?? 0
      case REG.IIR:
        return this.#pending ? IIR.RECEIVED : IIR.NONE
      case REG.LSR:
        return LSR.EMPTY | (this.#fifo.length > 0 ? LSR.DATA_READY : 0)
      default:
        return this.#registers[offset] ?? 0
    }
  }
  write(offset: number, value: number): void {
    if (offset <= REG.IER && this.#divisorShown) this.#divisor[offset] = value
    else if (offset === REG.DATA) this.#send(value)
    else if (offset !== REG.IIR && offset !== REG.LSR && offset !== REG.MSR) this.#registers[offset] = value
  }
  get #divisorShown(): boolean {
    return ((this.#registers[REG.LCR] as number) & LCR_DLAB) !== 0
  }
  get #pending(): boolean {
    return this.#fifo.length > 0 && ((this.#registers[REG.IER] as number) & IER_RECEIVED) !== 0
  }
  #send(value: number): void {
    if (this.#fifo.length === FIFO_BYTES) return
    this.#fifo.push(value)
    if (this.#pending) this.#interrupt()
  }
}
