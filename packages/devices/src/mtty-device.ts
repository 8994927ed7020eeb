/**
 * A mediated serial card: software that looks like a PCI function with one or two I/O BARs and reaches no memory. Modelled
 * on the kernel's sample (samples/vfio-mdev/mtty.c), whose migration states it does not have.
 */
import {
  type Caller,
  type EventFd,
  UapiError,
  type VfioConnection,
  type VfioDriver,
  type VfioFeature,
  type VfioInfo,
  type VfioIrq,
  type VfioIrqRequest,
  type VfioRegion,
  type VfioSession,
} from '@ioasis/core'
import { MttyPort } from './mtty-port.ts'

const REGION_SHIFT = 40n
const PLACE = (1n << REGION_SHIFT) - 1n
const CONFIG_REGION = 7
const CONFIG_BYTES = 256
const PORT_BYTES = 8
/** include/uapi/linux/vfio.h: VFIO_DEVICE_FLAGS_RESET and _PCI, VFIO_REGION_INFO_FLAG_READ and _WRITE, VFIO_IRQ_INFO_*. */
const DEVICE_PCI = 2
const READ_WRITE = 3
const IRQ = { EVENTFD: 1, MASKABLE: 2, AUTOMASKED: 4, NORESIZE: 8 } as const
/** VFIO_PCI_NUM_REGIONS and VFIO_PCI_NUM_IRQS. */
const REGIONS = 9
const IRQS = 5
const INDEX = { INTX: 0, MSI: 1, REQ: 4 } as const
/** Ids, class and BARs of a CH352 card, the one the sample looks like. */
const CONFIG_HEAD = [0x48, 0x43, 0x53, 0x32, 0x01, 0x00, 0x00, 0x02, 0x10, 0x02, 0x00, 0x07]
const BAR0 = 0x10
const SUBSYSTEM = 0x2c
const INTERRUPT_PIN = 0x3d

function configSpace(ports: number): Uint8Array {
  const config = new Uint8Array(CONFIG_BYTES)
  config.set(CONFIG_HEAD)
  for (let port = 0; port < ports; port++) config[BAR0 + 4 * port] = 1
  config.set(CONFIG_HEAD.slice(0, 4), SUBSYSTEM)
  config[INTERRUPT_PIN] = 1
  return config
}

/** A device as it is offered to VFIO. */
export class MttyDevice implements VfioDriver {
  readonly name = 'vfio-mtty'
  readonly connection: VfioConnection
  readonly sysfs: string
  readonly #ports: number
  readonly #uuid: string

  /** @param uuid its name; @param sysfs its directory; @param ports 1 or 2 */
  constructor(uuid: string, sysfs: string, ports: number) {
    this.#uuid = uuid
    this.#ports = ports
    this.sysfs = sysfs
    // It holds no pages: there is nothing to let go of.
    this.connection = { kind: 'emulated', name: uuid, unmapped: () => undefined }
  }
  matches(text: string): boolean {
    return text === this.#uuid
  }
  open(): VfioSession {
    return new MttySession(this.#ports)
  }
}

class MttySession implements VfioSession {
  readonly info: VfioInfo = { flags: DEVICE_PCI, regions: REGIONS, irqs: IRQS }
  readonly features: ReadonlyMap<number, VfioFeature> = new Map()
  readonly #config: Uint8Array
  readonly #ports: readonly MttyPort[]
  readonly #events = new Map<number, EventFd>()

  constructor(ports: number) {
    this.#config = configSpace(ports)
    this.#ports = Array.from({ length: ports }, () => new MttyPort(() => this.#interrupt()))
  }
  regionInfo(index: number): VfioRegion {
    if (index >= REGIONS) throw new UapiError('EINVAL', 'VFIO_DEVICE_GET_REGION_INFO', { index })
    const bytes = index === CONFIG_REGION ? CONFIG_BYTES : index < this.#ports.length ? PORT_BYTES : 0
    return { flags: READ_WRITE, size: BigInt(bytes), offset: BigInt(index) << REGION_SHIFT }
  }
  irqInfo(index: number): VfioIrq {
    const count = this.irqCount(index)
    if (count === 0) throw new UapiError('EINVAL', 'VFIO_DEVICE_GET_IRQ_INFO', { index })
    const kind = index === INDEX.INTX ? IRQ.MASKABLE | IRQ.AUTOMASKED : IRQ.NORESIZE
    return { flags: IRQ.EVENTFD | kind, count }
  }
  irqCount(index: number): number {
    return index === INDEX.INTX || index === INDEX.MSI || index === INDEX.REQ ? 1 : 0
  }
  setIrqs(_caller: Caller, { index, count, action, data }: VfioIrqRequest): void {
    if (action === undefined) throw new UapiError('ENOTTY', 'VFIO_DEVICE_SET_IRQS', { index })
    if (action !== 'trigger') return
    if (data.kind === 'eventfd') {
      const event = count > 0 ? data.event(0) : undefined
      if (event) this.#events.set(index, event)
      else this.#events.delete(index)
    } else if (data.kind === 'none' && count === 0) this.#events.delete(index)
    else if (data.kind === 'none' || data.values[0]) this.#events.get(index)?.signal()
  }
  read(_caller: Caller, offset: bigint, into: Uint8Array): number {
    const { config, port, place } = this.#at(offset, into.length)
    for (let i = 0; i < into.length; i++)
      into[i] = config ? (this.#config[place + i] ?? 0) : (port?.read(place + i) ?? 0)
    return into.length
  }
  write(_caller: Caller, offset: bigint, from: Uint8Array): number {
    const { config, port, place } = this.#at(offset, from.length)
    from.forEach((value, i) => {
      if (config) this.#writeConfig(place + i, value)
      else port?.write(place + i, value)
    })
    return from.length
  }
  mmap(): never {
    throw new UapiError('EINVAL', 'mmap')
  }
  reset(): void {
    // The sample resets its migration state alone.
  }
  request(): void {
    this.#events.get(INDEX.REQ)?.signal()
  }
  close(): void {
    this.#events.clear()
  }

  /** @throws UapiError EINVAL beyond a region, or where nothing is */
  #at(
    offset: bigint,
    bytes: number,
  ): { readonly config: boolean; readonly port: MttyPort | undefined; readonly place: number } {
    const region = Number(offset >> REGION_SHIFT)
    const place = Number(offset & PLACE)
    const config = region === CONFIG_REGION
    const port = this.#ports[region]
    const size = config ? CONFIG_BYTES : port ? PORT_BYTES : 0
    if (place + bytes > size) throw new UapiError('EINVAL', 'mtty', { offset, bytes })
    return { config, port, place }
  }
  /** COMMAND and the interrupt line keep what is written; a BAR answers sizing with its size. */
  #writeConfig(at: number, value: number): void {
    if (at === 0x04 || at === 0x05 || at === 0x3c) this.#config[at] = value
    const bar = Math.floor((at - BAR0) / 4)
    if (at < BAR0 || bar >= this.#ports.length) return
    this.#config[at] = at % 4 === 0 ? (value & ~(PORT_BYTES - 1) & 0xff) | 1 : value
  }
  #interrupt(): void {
    ;(this.#events.get(INDEX.MSI) ?? this.#events.get(INDEX.INTX))?.signal()
  }
}
