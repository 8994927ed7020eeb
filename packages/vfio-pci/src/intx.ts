/**
 * INTx handed to a user: each interrupt masks the function's line until he unmasks it. drivers/vfio/pci/vfio_pci_intrs.c vfio_intx_*.
 * Where Interrupt Disable cannot be used the interrupt controller masks the line: here that is forgetting it until it is unmasked.
 */
import {
  changeCommand,
  COMMAND,
  type EventFd,
  HEADER,
  type Interrupts,
  type PciFunction,
  STATUS,
  UapiError,
} from '@ioasis/core'
import { watchEvent } from './event-watch.ts'

/** What a line needs. */
export interface IntxParts {
  readonly fn: PciFunction
  readonly interrupts: Interrupts
  /** Interrupt Disable masks it; else the interrupt controller does. */
  readonly maskable: boolean
}

/** The line of one opened device while its user wants it. */
export class Intx {
  readonly #fn: PciFunction
  readonly #maskable: boolean
  readonly #stop: () => void
  #event: EventFd | undefined
  #stopUnmask: (() => void) | undefined
  #masked: boolean
  /** COMMAND.InterruptDisable as the user sees it: nothing is signalled. */
  #hidden: boolean

  constructor({ fn, interrupts, maskable }: IntxParts, event: EventFd | undefined, hidden: boolean) {
    this.#fn = fn
    this.#maskable = maskable
    this.#event = event
    this.#masked = hidden
    this.#hidden = hidden
    this.#stop = interrupts.watchLine(fn, () => this.#raised())
    this.#setLine(!hidden)
    if (this.#pending) this.#raised()
  }

  set event(event: EventFd | undefined) {
    this.#event = event
  }
  mask(): void {
    if (this.#masked) return
    this.#setLine(false)
    this.#masked = true
  }
  /** A line that is still asserted stays masked, and is told of again. */
  unmask(): void {
    if (!this.#masked || this.#hidden) return
    if (this.#pending) this.signal()
    else {
      this.#masked = false
      this.#setLine(true)
    }
  }
  /** Unmasks each time the user signals `event`. @throws UapiError EBUSY when there is one already */
  unmaskBy(event: EventFd | undefined): void {
    if (event && this.#stopUnmask) throw new UapiError('EBUSY', 'vfio_virqfd_enable')
    this.#stopUnmask?.()
    this.#stopUnmask = event && watchEvent(event, () => this.unmask())
  }
  /** The user set or cleared Interrupt Disable. */
  hide(hidden: boolean): void {
    this.#hidden = hidden
    if (hidden) this.mask()
    else this.unmask()
  }
  signal(): void {
    if (!this.#hidden) this.#event?.signal()
  }
  close(): void {
    this.#stopUnmask?.()
    this.#stop()
  }

  #setLine(on: boolean): void {
    if (this.#maskable) setLine(this.#fn, on)
  }
  get #pending(): boolean {
    return (this.#fn.readConfig(HEADER.STATUS, 2) & STATUS.INTERRUPT) !== 0
  }
  #raised(): void {
    if (this.#masked || !this.#pending) return
    this.mask()
    this.signal()
  }
}

/** pci_intx(). */
export function setLine(fn: PciFunction, on: boolean): void {
  changeCommand(fn, on ? { clear: COMMAND.INTX_DISABLE } : { set: COMMAND.INTX_DISABLE })
}
