/**
 * A mediated serial card: software that looks like a PCI function with one or two I/O BARs and reaches no memory. Modelled
 * on the kernel's sample, samples/vfio-mdev/mtty.c. Its state is the card's: it outlives who has it open.
 */
import {
  type Caller,
  type EventFd,
  UapiError,
  type VfioConnection,
  type VfioDmaLogging,
  type VfioDriver,
  type VfioFeature,
  type VfioInfo,
  type VfioIrq,
  type VfioIrqRequest,
  type VfioRegion,
  type VfioSession,
} from '@ioasis/core'
import { MttyMigration } from './mtty-migration.ts'
import { MttyPort } from './mtty-port.ts'

const REGION_SHIFT = 40n
const PLACE = (1n << REGION_SHIFT) - 1n
const CONFIG_REGION = 7
/** One less than a configuration space: MTTY_CONFIG_SPACE_SIZE. Its memory has one byte more. */
const CONFIG_BYTES = 255
const CONFIG_MEMORY = 256
const PORT_BYTES = 8
/** Port state there is room for, whatever the card shows. */
const MOST_PORTS = 2
/** include/uapi/linux/vfio.h: VFIO_DEVICE_FLAGS_PCI, VFIO_REGION_INFO_FLAG_READ and _WRITE, VFIO_IRQ_INFO_*. */
const DEVICE_PCI = 2
const READ_WRITE = 3
const IRQ = { EVENTFD: 1, MASKABLE: 2, AUTOMASKED: 4, NORESIZE: 8 } as const
/** VFIO_PCI_NUM_REGIONS and VFIO_PCI_NUM_IRQS. */
const REGIONS = 9
const IRQS = 5
const INDEX = { INTX: 0, MSI: 1 } as const
/** Ids, class and BARs of a CH352 card, the one the sample looks like. */
const CONFIG_HEAD = [0x48, 0x43, 0x53, 0x32, 0x01, 0x00, 0x00, 0x02, 0x10, 0x02, 0x00, 0x07]
const BAR0 = 0x10
const SUBSYSTEM = 0x2c
const INTERRUPT_LINE = 0x3c
const INTERRUPT_PIN = 0x3d
/** "Vendor specific data" that the sample sets, the text in it included. */
const VENDOR_DATA: readonly (readonly [at: number, byte: number])[] = [
  [0x40, 0x23],
  [0x43, 0x80],
  [0x44, 0x23],
  [0x48, 0x23],
  [0x4c, 0x23],
]
const VENDOR_TEXT = { at: 0x60, text: 'PCI Serial/UART' } as const

function configSpace(ports: number): Uint8Array {
  const config = new Uint8Array(CONFIG_MEMORY)
  config.set(CONFIG_HEAD)
  for (let port = 0; port < ports; port++) config[BAR0 + 4 * port] = 1
  config.set(CONFIG_HEAD.slice(0, 4), SUBSYSTEM)
  config[INTERRUPT_PIN] = 1
  for (const [at, byte] of VENDOR_DATA) config[at] = byte
  for (let i = 0; i < VENDOR_TEXT.text.length; i++) config[VENDOR_TEXT.at + i] = VENDOR_TEXT.text.charCodeAt(i)
  return config
}

/** What a card keeps between its users. */
interface Card {
  readonly ports: number
  readonly config: Uint8Array
  readonly allPorts: readonly MttyPort[]
  readonly migration: MttyMigration
  /** VFIO_DEVICE_GET_INFO was asked once: before, the sample knows of no interrupts. */
  informed: boolean
  interrupt: () => void
}

/** A device as it is offered to VFIO. */
export class MttyDevice implements VfioDriver {
  readonly name = 'vfio-mtty'
  readonly connection: VfioConnection
  readonly sysfs: string
  readonly #uuid: string
  readonly #card: Card

  /** @param uuid its name; @param sysfs its directory; @param ports 1 or 2 */
  constructor(uuid: string, sysfs: string, ports: number) {
    this.#uuid = uuid
    this.sysfs = sysfs
    // It holds no pages: there is nothing to let go of.
    this.connection = { kind: 'emulated', name: uuid, unmapped: () => undefined }
    const allPorts = Array.from({ length: MOST_PORTS }, () => new MttyPort(() => this.#card.interrupt()))
    const migration = new MttyMigration({ ports: allPorts.slice(0, ports) })
    const config = configSpace(ports)
    this.#card = { ports, config, allPorts, migration, informed: false, interrupt: () => undefined }
  }
  matches(text: string): boolean {
    return text === this.#uuid
  }
  open(): VfioSession {
    this.#card.migration.opened()
    return new MttySession(this.#card)
  }
}

/** Writes nothing to memory: there is nothing to log (mtty_log_ops). */
const NOTHING_DIRTY: VfioDmaLogging = {
  start: (_ranges, pageSize) => pageSize,
  stop: () => undefined,
  report: () => undefined,
}

class MttySession implements VfioSession {
  readonly info: VfioInfo = { flags: DEVICE_PCI, regions: REGIONS, irqs: IRQS }
  readonly features: ReadonlyMap<number, VfioFeature> = new Map()
  readonly migration: MttyMigration
  readonly dmaLogging: VfioDmaLogging = NOTHING_DIRTY
  readonly #card: Card
  /** Of INTx and MSI at most one is in use. */
  #used: { readonly index: number; readonly event: EventFd } | undefined
  #masked = false

  constructor(card: Card) {
    this.#card = card
    this.migration = card.migration
    card.interrupt = () => this.#interrupt()
  }
  infoAsked(): void {
    this.#card.informed = true
  }
  regionInfo(index: number): VfioRegion {
    if (index >= REGIONS) throw new UapiError('EINVAL', 'VFIO_DEVICE_GET_REGION_INFO', { index })
    const bytes = index === CONFIG_REGION ? CONFIG_BYTES : index < this.#card.ports ? PORT_BYTES : 0
    return { flags: READ_WRITE, size: BigInt(bytes), offset: BigInt(index) << REGION_SHIFT }
  }
  irqInfo(index: number): VfioIrq {
    const known = index === INDEX.INTX || index === INDEX.MSI
    if (!this.#card.informed || !known) throw new UapiError('EINVAL', 'VFIO_DEVICE_GET_IRQ_INFO', { index })
    const kind = index === INDEX.INTX ? IRQ.MASKABLE | IRQ.AUTOMASKED : IRQ.NORESIZE
    return { flags: IRQ.EVENTFD | kind, count: 1 }
  }
  /** The sample checks against the number of indices, not of interrupts of one. */
  irqCount(): number {
    return this.#card.informed ? IRQS : 0
  }
  setIrqs(_caller: Caller, request: VfioIrqRequest): void {
    const { index, action } = request
    if (index > INDEX.MSI || (index === INDEX.MSI && (action === 'mask' || action === 'unmask')))
      throw new UapiError('ENOTTY', 'VFIO_DEVICE_SET_IRQS', { index })
    // None or several actions: the sample does nothing.
    if (action === 'trigger') this.#trigger(request)
    else if (action) this.#mask(request, action === 'mask')
  }
  read(_caller: Caller, offset: bigint, into: Uint8Array): number {
    eachPiece(offset, into.length, (region, place, done, size) => {
      into.fill(0, done, done + size)
      if (region !== CONFIG_REGION) into[done] = this.#port(region).read(place & 0xffff)
      else if (place + size <= CONFIG_MEMORY) into.set(this.#card.config.subarray(place, place + size), done)
      else throw new UapiError('EFAULT', 'mtty_read', { place })
    })
    return into.length
  }
  write(_caller: Caller, offset: bigint, from: Uint8Array): number {
    eachPiece(offset, from.length, (region, place, done, size) => {
      if (region !== CONFIG_REGION) this.#port(region).write(place & 0xffff, from[done] as number)
      else this.#writeConfig(place & 0xffff, from.subarray(done, done + size))
    })
    return from.length
  }
  mmap(): never {
    throw new UapiError('EINVAL', 'mmap')
  }
  reset(): void {
    this.migration.reset()
  }
  request(): void {
    // The sample has no way to tell its user.
  }
  close(): void {
    this.migration.close()
    this.#release()
    this.#card.interrupt = () => undefined
  }

  /** @throws UapiError EFAULT for other regions; also where Linux would reach beyond its own array */
  #port(region: number): MttyPort {
    const port = this.#card.allPorts[region]
    if (!port) throw new UapiError('EFAULT', 'mdev_access', { region })
    return port
  }
  /** handle_pci_cfg_write: whole registers by their first byte. */
  #writeConfig(at: number, from: Uint8Array): void {
    const { config, ports } = this.#card
    const view = new DataView(config.buffer)
    const value = new DataView(Uint8Array.of(...from, 0, 0, 0).buffer).getUint32(0, true)
    if (at === INTERRUPT_LINE) config[at] = from[0] as number
    else if (at === BAR0 || at === BAR0 + 4) {
      const sized = value === 0xffff_ffff ? (value & -PORT_BYTES) >>> 0 : value
      const type = (config[at] as number) & 3
      view.setUint32(at, at === BAR0 || ports === 2 ? (sized | type) >>> 0 : 0, true)
    } else if (at === BAR0 + 8 || at === BAR0 + 12 || at === BAR0 + 16) view.setUint32(at, 0, true)
  }

  #interrupt(): void {
    if (!this.#used || (this.#used.index === INDEX.INTX && this.#masked)) return
    this.#used.event.signal()
    this.#masked = this.#used.index === INDEX.INTX
  }
  #release(): void {
    if (this.#used?.index === INDEX.INTX) this.#masked = false
    this.#used = undefined
  }
  #mask({ index, start, count, data }: VfioIrqRequest, masked: boolean): void {
    if (this.#used?.index !== index || start !== 0 || count !== 1)
      throw new UapiError('EINVAL', 'VFIO_DEVICE_SET_IRQS', { index, start, count })
    if (data.kind === 'eventfd') throw new UapiError('ENOTTY', 'VFIO_DEVICE_SET_IRQS', { index })
    if (data.kind === 'none' || data.values[0]) this.#masked = masked
  }
  #trigger({ index, start, count, data }: VfioIrqRequest): void {
    const mine = this.#used?.index === index
    if (mine && count === 0 && data.kind === 'none') return this.#release()
    if ((this.#used && !mine) || start !== 0 || count !== 1)
      throw new UapiError('EINVAL', 'VFIO_DEVICE_SET_IRQS', { index, start, count })
    if (data.kind === 'eventfd') {
      this.#release()
      const event = data.event(0)
      if (event) this.#used = { index, event }
      return
    }
    if (!mine) throw new UapiError('EINVAL', 'VFIO_DEVICE_SET_IRQS', { index })
    if (data.kind === 'none' || data.values[0]) this.#interrupt()
  }
}

/** mtty_read, mtty_write: pieces of 4, 2 and 1 bytes as the place in the file is aligned. */
function eachPiece(
  offset: bigint,
  bytes: number,
  run: (region: number, place: number, done: number, size: number) => void,
): void {
  for (let done = 0; done < bytes;) {
    const at = offset + BigInt(done)
    const left = bytes - done
    const low = Number(at & 3n)
    const size = left >= 4 && low === 0 ? 4 : left >= 2 && low % 2 === 0 ? 2 : 1
    run(Number(at >> REGION_SHIFT), Number(at & PLACE), done, size)
    done += size
  }
}
