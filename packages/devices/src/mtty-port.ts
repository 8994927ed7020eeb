/**
 * One serial port of the sample device: a 16550A whose output comes back as its input. Follows samples/vfio-mdev/mtty.c
 * handle_bar_write, handle_bar_read, also where it is no 16550A: a full queue looks empty, and the divisor's bytes are ORed in.
 */

/** Bytes that wait to be read. */
const FIFO_BYTES = 16
/** Registers by offset; the second is what a read of that place means. */
const REG = { DATA: 0, IER: 1, FCR: 2, IIR: 2, LCR: 3, MCR: 4, LSR: 5, MSR: 6, SCRATCH: 7 } as const
const IER = { RECEIVED: 0x01, EMPTY: 0x02, LINE: 0x04, MODEM: 0x08 } as const
const IIR = { EMPTY: 0x02, RECEIVED: 0x04, LINE: 0x06, NONE: 0x01, FIFO: 0xc0 } as const
const FCR = { ENABLE: 0x01, CLEAR: 0x06 } as const
const LCR_DLAB = 0x80
const MCR = { READY: 0x03, OUT2: 0x08, FLOW: 0x20 } as const
const LSR = { DATA_READY: 0x01, OVERRUN: 0x02, EMPTY: 0x60 } as const
const MSR = { ALWAYS: 0xa2, CLEAR_TO_SEND: 0x11 } as const

/** The state as it is moved to another host: `struct serial_port`, 36 bytes with its padding. */
const STATE = { BYTES: 36, FIFO: 8, HEAD: 24, TAIL: 25, COUNT: 26, DLAB: 27, OVERRUN: 28, DIVISOR: 30 } as const
const CONTROL = { FCR: 32, FIFO_SIZE: 33, TRIGGER: 34 } as const

/** A port of eight registers. */
export class MttyPort {
  readonly #state = new Uint8Array(STATE.BYTES)
  readonly #interrupt: () => void

  /** @param interrupt something happened whose interrupt is enabled */
  constructor(interrupt: () => void) {
    this.#interrupt = interrupt
    this.#state[CONTROL.FIFO_SIZE] = FIFO_BYTES
  }

  /** Bytes of a port's state. */
  static readonly stateBytes: number = STATE.BYTES
  /** A copy of its state. */
  save(): Uint8Array {
    return this.#state.slice()
  }
  /** Takes a state over, `stateBytes` long. */
  load(state: Uint8Array): void {
    this.#state.set(state)
  }

  /** One byte; what a wider access reads besides is nobody's. @param offset beyond the registers nothing answers: 0 */
  read(offset: number): number {
    const s = this.#state
    switch (offset) {
      case REG.DATA:
        return this.#divisorShown ? (s[STATE.DIVISOR] as number) : this.#receive()
      case REG.IER:
        return this.#divisorShown ? (s[STATE.DIVISOR + 1] as number) : (s[REG.IER] as number) & 0x0f
      case REG.IIR:
        return this.#identification
      case REG.LSR:
        return (this.#empty ? LSR.EMPTY : LSR.DATA_READY) | ((s[STATE.OVERRUN] as number) !== 0 ? LSR.OVERRUN : 0)
      case REG.MSR:
        return MSR.ALWAYS | (this.#canSend ? MSR.CLEAR_TO_SEND : 0)
      default:
        return offset <= REG.SCRATCH ? (s[offset] as number) : 0
    }
  }
  write(offset: number, value: number): void {
    const s = this.#state
    switch (offset) {
      case REG.DATA:
        return this.#divisorShown ? this.#addDivisor(STATE.DIVISOR, value) : this.#send(value)
      case REG.IER:
        if (this.#divisorShown) return this.#addDivisor(STATE.DIVISOR + 1, value)
        s[REG.IER] = value
        if (value & IER.EMPTY && this.#empty) this.#interrupt()
        return
      case REG.FCR:
        return this.#control(value)
      case REG.LCR:
        s[STATE.DLAB] = value & LCR_DLAB ? 1 : 0
        if (value & LCR_DLAB) s.fill(0, STATE.DIVISOR, STATE.DIVISOR + 2)
        s[REG.LCR] = value
        return
      case REG.MCR:
        s[REG.MCR] = value
        if (this.#enabled(IER.MODEM) && value & MCR.OUT2) this.#interrupt()
        if (this.#enabled(IER.MODEM) && value & MCR.READY) this.#interrupt()
        return
      case REG.SCRATCH:
        s[REG.SCRATCH] = value
    }
  }

  get #divisorShown(): boolean {
    return this.#state[STATE.DLAB] !== 0
  }
  /** A queue of 16 wraps: full it looks the same. */
  get #empty(): boolean {
    return this.#state[STATE.HEAD] === this.#state[STATE.TAIL]
  }
  get #canSend(): boolean {
    const s = this.#state
    return ((s[REG.MCR] as number) & MCR.FLOW) === 0 || (s[STATE.COUNT] as number) < (s[CONTROL.FIFO_SIZE] as number)
  }
  #enabled(bit: number): boolean {
    return ((this.#state[REG.IER] as number) & bit) !== 0
  }
  #addDivisor(at: number, value: number): void {
    this.#state[at] = (this.#state[at] as number) | value
  }
  #receive(): number {
    const s = this.#state
    let byte = 0
    if (!this.#empty) {
      const tail = s[STATE.TAIL] as number
      byte = s[STATE.FIFO + tail] as number
      s[STATE.COUNT] = (s[STATE.COUNT] as number) - 1
      s[STATE.TAIL] = (tail + 1) % FIFO_BYTES
    }
    if (this.#empty && this.#enabled(IER.EMPTY)) this.#interrupt()
    return byte
  }
  #send(value: number): void {
    const s = this.#state
    const count = s[STATE.COUNT] as number
    if (count >= (s[CONTROL.FIFO_SIZE] as number)) {
      s[STATE.OVERRUN] = 1
      if (this.#enabled(IER.LINE)) this.#interrupt()
      return
    }
    const head = s[STATE.HEAD] as number
    s[STATE.FIFO + head] = value
    s[STATE.COUNT] = count + 1
    s[STATE.HEAD] = (head + 1) % FIFO_BYTES
    s[STATE.OVERRUN] = 0
    if (this.#enabled(IER.RECEIVED) && count + 1 === s[CONTROL.TRIGGER]) this.#interrupt()
  }
  /** The trigger level that was asked for does not count: the sample sets 1 after all. */
  #control(value: number): void {
    const s = this.#state
    s[CONTROL.FCR] = value
    if (value & FCR.CLEAR) s.fill(0, STATE.HEAD, STATE.COUNT + 1)
    s[CONTROL.TRIGGER] = 1
    s[CONTROL.FIFO_SIZE] = value & FCR.ENABLE ? FIFO_BYTES : 1
  }
  get #identification(): number {
    const s = this.#state
    let id = 0
    if (this.#enabled(IER.LINE) && s[STATE.OVERRUN] !== 0) id |= IIR.LINE
    if (this.#enabled(IER.RECEIVED) && (s[STATE.COUNT] as number) >= (s[CONTROL.TRIGGER] as number)) id |= IIR.RECEIVED
    if (this.#enabled(IER.EMPTY) && this.#empty) id |= IIR.EMPTY
    // A change of the modem's lines has the id 0: it cannot be told from none.
    return (id === 0 ? IIR.NONE : id) | IIR.FIFO
  }
}
