/** VFIO_DEVICE_IOEVENTFD: an event counter whose signals become one fixed write to a BAR. drivers/vfio/pci/vfio_pci_rdwr.c vfio_pci_ioeventfd. */
import { type Caller, eventAt, UapiError } from '@ioasis/core'
import { VFIO_DEVICE_IOEVENTFD_SIZE_MASK, VFIO_PCI_REGION, type VfioDeviceIoeventfd } from '@ioasis/uapi'
import { watchEvent } from './event-watch.ts'

const MOST = 1000
const WHAT = 'VFIO_DEVICE_IOEVENTFD'

/** What a write needs. */
export interface IoEventTarget {
  /** Bytes of a BAR that can be reached; 0: none. */
  barBytes(index: number): number
  /** The range is kept from the user. */
  isHidden(index: number, first: number, end: number): boolean
  /** Lost while memory is off. */
  write(index: number, offset: number, from: Uint8Array): void
}
interface Entry {
  readonly key: string
  readonly stop: () => void
}

/** The writes of one opened device. */
export class IoEvents {
  readonly #target: IoEventTarget
  readonly #entries: Entry[] = []

  constructor(target: IoEventTarget) {
    this.#target = target
  }

  /** @throws UapiError EINVAL, EEXIST, ENODEV, ENOSPC, EBADF */
  set(caller: Caller, { flags, offset, data, fd }: VfioDeviceIoeventfd): void {
    const refuse = (): UapiError => new UapiError('EINVAL', WHAT, { flags, offset, fd })
    const bytes = flags & VFIO_DEVICE_IOEVENTFD_SIZE_MASK
    if (flags !== bytes || ![1, 2, 4, 8].includes(bytes) || fd < -1) throw refuse()
    const index = Number(offset >> 40n)
    const at = Number(offset & 0xff_ffff_ffffn)
    if (index > VFIO_PCI_REGION.BAR5 || at + bytes > this.#target.barBytes(index)) throw refuse()
    if (this.#target.isHidden(index, at, at + bytes) || bytes === 8) throw refuse()
    const key = [index, at, data, bytes].join(' ')
    const known = this.#entries.findIndex((entry) => entry.key === key)
    if (known >= 0 && fd !== -1) throw new UapiError('EEXIST', WHAT, { offset })
    if (known >= 0) return this.#entries.splice(known, 1)[0]?.stop()
    if (fd < 0) throw new UapiError('ENODEV', WHAT, { offset })
    if (this.#entries.length >= MOST) throw new UapiError('ENOSPC', WHAT, { offset })
    const value = Uint8Array.from({ length: bytes }, (_, i) => Number((data >> BigInt(8 * i)) & 0xffn))
    const stop = watchEvent(eventAt(caller, fd), () => this.#target.write(index, at, value))
    this.#entries.push({ key, stop })
  }
  close(): void {
    for (const { stop } of this.#entries.splice(0)) stop()
  }
}
