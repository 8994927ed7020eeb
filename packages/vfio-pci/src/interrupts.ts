/** VFIO_DEVICE_SET_IRQS: which interrupts a user gets, and how. drivers/vfio/pci/vfio_pci_intrs.c vfio_pci_set_irqs_ioctl. */
import {
  type Caller,
  type Cpu,
  type EventFd,
  type Interrupts,
  mayFail,
  type PciFunction,
  UapiError,
  type VfioIrqRequest,
} from '@ioasis/core'
import { VFIO_PCI_IRQ } from '@ioasis/uapi'
import { Intx, setLine } from './intx.ts'
import { MessageVectors, type VectorParts } from './message-vectors.ts'
import type { HiddenTable } from './regions.ts'

const WHAT = 'VFIO_DEVICE_SET_IRQS'

type EventData = Extract<VfioIrqRequest['data'], { readonly kind: 'eventfd' }>

/** What they are made of. */
export interface InterruptParts {
  readonly fn: PciFunction
  readonly interrupts: Interrupts
  readonly cpu: Cpu
  readonly table: (HiddenTable & { readonly hpa: number }) | undefined
  readonly express: boolean
  /** COMMAND.InterruptDisable and STATUS.InterruptStatus are used: `pci_2_3`. */
  readonly maskable: boolean
  /** The line is kept down for good. */
  readonly lineOff: boolean
  /** The function's IOMMU lets messages of these vectors pass from now on. @returns takes it back @throws UapiError ENOMEM */
  readonly allowMessages: VectorParts['allowMessages']
  /** MSI was switched on for so many vectors, as a power of two. */
  readonly usedMsi: (order: number) => void
}

/** The interrupts of one opened device: of INTx, MSI and MSI-X one kind at a time. */
export class DeviceInterrupts {
  readonly #parts: InterruptParts
  #intx: Intx | undefined
  #vectors: MessageVectors | undefined
  #hidden = false
  /** Events of errors and of the host wanting the device back. */
  readonly #events = new Map<number, EventFd>()

  constructor(parts: InterruptParts) {
    this.#parts = parts
  }

  /** MSI is what the user has. */
  get usesMsi(): boolean {
    return this.#usesMsi
  }

  /** @throws UapiError ENOTTY for an action the index does not have, EINVAL, EBADF, ERANGE, ENOSPC, ENOMEM */
  set(caller: Caller, given: VfioIrqRequest): void {
    const request = { ...given, data: counted(caller, given.data) }
    const { index, action } = request
    if (index === VFIO_PCI_IRQ.INTX && action === 'trigger') return this.#triggerIntx(request)
    if (index === VFIO_PCI_IRQ.INTX && action) return this.#maskIntx(request)
    if ((index === VFIO_PCI_IRQ.MSI || index === VFIO_PCI_IRQ.MSIX) && action === 'trigger')
      return this.#triggerVectors(request)
    if (action === 'trigger' && (index === VFIO_PCI_IRQ.REQ || (index === VFIO_PCI_IRQ.ERR && this.#parts.express)))
      return this.#setEvent(request)
    throw new UapiError('ENOTTY', WHAT, { index })
  }
  /** The user set or cleared COMMAND.InterruptDisable. */
  hideIntx(hidden: boolean): void {
    if (this.#hidden === hidden) return
    this.#hidden = hidden
    if (this.#intx) this.#intx.hide(hidden)
    else if (this.#parts.maskable) setLine(this.#parts.fn, !hidden)
  }
  /** After a reset: messages are put back. */
  restore(): void {
    this.#vectors?.program()
  }
  /** The host wants the device back, or it reported an error. @returns whether the user is told */
  tell(index: typeof VFIO_PCI_IRQ.ERR | typeof VFIO_PCI_IRQ.REQ): boolean {
    const event = this.#events.get(index)
    event?.signal()
    return event !== undefined
  }
  close(): void {
    this.#disable()
    this.#events.clear()
  }

  get #usesMsi(): boolean {
    return this.#vectors !== undefined && !this.#vectors.isMsix
  }
  #disable(): void {
    this.#intx?.close()
    this.#vectors?.close(this.#parts.lineOff)
    this.#intx = this.#vectors = undefined
  }

  #triggerIntx({ start, count, data }: VfioIrqRequest): void {
    const intx = this.#intx
    if (intx && count === 0 && data.kind === 'none') return this.#disable()
    if (this.#vectors || start !== 0 || count !== 1)
      throw new UapiError('EINVAL', WHAT, { index: VFIO_PCI_IRQ.INTX, start, count })
    if (data.kind === 'eventfd') {
      const event = data.event(0)
      if (intx) intx.event = event
      else this.#intx = new Intx(this.#parts, event, this.#hidden)
      return
    }
    if (!intx) throw new UapiError('EINVAL', WHAT, { index: VFIO_PCI_IRQ.INTX })
    if (data.kind === 'none' || data.values[0]) intx.signal()
  }
  #maskIntx({ start, count, action, data }: VfioIrqRequest): void {
    const intx = this.#intx
    if (!intx || start !== 0 || count !== 1)
      throw new UapiError('EINVAL', WHAT, { index: VFIO_PCI_IRQ.INTX, start, count })
    if (data.kind === 'eventfd') {
      if (action === 'mask') throw new UapiError('ENOTTY', WHAT, { index: VFIO_PCI_IRQ.INTX })
      intx.unmaskBy(data.event(0))
    } else if (data.kind === 'none' || data.values[0]) {
      if (action === 'mask') intx.mask()
      else intx.unmask()
    }
  }

  #triggerVectors({ index, start, count, data }: VfioIrqRequest): void {
    const mine = this.#vectors && this.#vectors.isMsix === (index === VFIO_PCI_IRQ.MSIX) ? this.#vectors : undefined
    if (mine && count === 0 && data.kind === 'none') return this.#disable()
    if (!mine && (this.#vectors || this.#intx)) throw new UapiError('EINVAL', WHAT, { index })
    if (data.kind === 'eventfd') {
      if (mine) connectAll(mine, start, data)
      else this.#startVectors(index, start, data)
      return
    }
    if (!mine) throw new UapiError('EINVAL', WHAT, { index })
    for (let i = 0; i < count; i++) if (data.kind === 'none' || data.values[i]) mine.signal(start + i)
  }
  #startVectors(index: number, start: number, data: EventData): void {
    const { fn, interrupts, cpu, table, allowMessages } = this.#parts
    const vectors = new MessageVectors(
      { fn, interrupts, cpu, allowMessages, table: index === VFIO_PCI_IRQ.MSIX ? table : undefined },
      start + data.fds.length,
    )
    this.#vectors = vectors
    if (!vectors.isMsix) this.#parts.usedMsi(vectors.order)
    try {
      connectAll(vectors, start, data)
    } catch (error) {
      this.#disable()
      throw error
    }
  }

  /** Without an event counter there is nothing to try, or to take away. */
  #setEvent({ index, start, count, data }: VfioIrqRequest): void {
    const refuse = (): UapiError => new UapiError('EINVAL', WHAT, { index, start, count })
    if (start !== 0 || count > 1) throw refuse()
    const event = this.#events.get(index)
    if (data.kind === 'none') {
      if (!event) throw refuse()
      if (count) event.signal()
      else this.#events.delete(index)
      return
    }
    if (count === 0) throw refuse()
    if (data.kind === 'bool') {
      if (data.values[0]) event?.signal()
      return
    }
    if ((data.fds[0] as number) < -1) throw refuse()
    const wanted = data.event(0)
    if (wanted) this.#events.set(index, wanted)
    else this.#events.delete(index)
  }
}

/** All or none of the range stays connected. */
function connectAll(vectors: MessageVectors, start: number, { fds, event }: EventData): void {
  let done = 0
  try {
    for (; done < fds.length; done++) {
      const i = done
      if ((fds[i] as number) < 0) vectors.disconnect(start + i)
      else vectors.connect(start + i, () => event(i))
    }
  } catch (error) {
    for (let i = 0; i <= done; i++) vectors.disconnect(start + i)
    throw error
  }
}

/** Each event that is connected needs memory for its vector (vfio_irq_ctx_alloc). */
function counted(caller: Caller, data: VfioIrqRequest['data']): VfioIrqRequest['data'] {
  if (data.kind !== 'eventfd') return data
  return {
    ...data,
    event: (i) => {
      mayFail(caller, 'vfio_pci_irq_ctx')
      return data.event(i)
    },
  }
}
