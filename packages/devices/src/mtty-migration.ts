/**
 * Moving a serial card to another host: its states, and the files its state is read from and written to. Follows
 * samples/vfio-mdev/mtty.c mtty_step_state and what it calls.
 */
import {
  type Caller,
  type FileOps,
  type MigrationData,
  type MigrationState,
  nextMigrationState,
  readUser,
  UapiError,
  type VfioMigration,
  writeUser,
} from '@ioasis/core'
import { MttyPort } from './mtty-port.ts'

/** `struct mtty_data`: magic, version 1.0, number of ports, flags; then the ports. */
const MAGIC = 0x7e9d_0989_8c3e_2c4en
const MAJOR = 1
const HEADER_BYTES = 24
/** include/uapi/linux/vfio.h. */
const GET_PRECOPY_INFO = 0x3b79
const PRECOPY_INFO_BYTES = 24
const NAME = 'mtty_mig'

/** What is moved. */
export interface MovedCard {
  readonly ports: readonly MttyPort[]
}

/** The migration of one card. */
export class MttyMigration implements VfioMigration {
  readonly p2p = true
  readonly preCopy = true
  readonly #card: MovedCard
  #state: MigrationState = 'RUNNING'
  #saving: SavingFile | undefined
  #resuming: ResumingFile | undefined
  #zeroesFlags = false

  constructor(card: MovedCard) {
    this.#card = card
  }

  get state(): MigrationState {
    return this.#state
  }
  set(wanted: MigrationState): MigrationData | undefined {
    let data: MigrationData | undefined
    while (this.#state !== wanted) {
      const next = nextMigrationState(this, this.#state, wanted)
      data = this.#step(next)
      this.#state = next
    }
    return data
  }
  dataSize(): bigint {
    return BigInt(HEADER_BYTES + this.#card.ports.length * MttyPort.stateBytes)
  }
  usePrecopyInfo2(): void {
    this.#zeroesFlags = true
  }
  /** The device was opened: its new user says anew which form of the information he knows. */
  opened(): void {
    this.#zeroesFlags = false
  }
  /** VFIO_DEVICE_RESET. */
  reset(): void {
    this.#state = 'RUNNING'
    this.close()
  }
  /** The files stand for nothing any more; the state stays. */
  close(): void {
    this.#saving?.disable()
    this.#resuming?.disable()
    this.#saving = this.#resuming = undefined
  }

  /** What is not here needs nothing done: the card has no DMA to stop. @throws UapiError EINVAL when too little was written */
  #step(next: MigrationState): MigrationData | undefined {
    const way = `${this.#state} ${next}`
    switch (way) {
      case 'RESUMING STOP':
        this.#resuming?.load(this.#card.ports)
        this.close()
        return undefined
      case 'PRE_COPY RUNNING':
      case 'PRE_COPY_P2P RUNNING_P2P':
      case 'STOP_COPY STOP':
        this.close()
        return undefined
      case 'RUNNING PRE_COPY':
      case 'RUNNING_P2P PRE_COPY_P2P':
      case 'STOP STOP_COPY':
      case 'PRE_COPY_P2P STOP_COPY':
        return this.#save(next)
      case 'STOP RESUMING':
        this.#resuming = new ResumingFile(this.#card.ports.length)
        return { file: this.#resuming, name: NAME, mode: { read: false, write: true } }
    }
    return undefined
  }
  /** Who reads since PRE_COPY goes on with the same file. */
  #save(next: MigrationState): MigrationData | undefined {
    const fresh = this.#saving ? undefined : new SavingFile(this.#card.ports.length, () => this.#preCopy())
    if (fresh) this.#saving = fresh
    if (next === 'STOP_COPY') this.#saving?.fill(this.#card.ports)
    return fresh && { file: fresh, name: NAME, mode: { read: true, write: false } }
  }
  #preCopy(): { readonly zeroesFlags: boolean } | undefined {
    const copying = this.#state === 'PRE_COPY' || this.#state === 'PRE_COPY_P2P'
    return copying ? { zeroesFlags: this.#zeroesFlags } : undefined
  }
}

/** Reads give the header, and the ports once the card stands still. */
class SavingFile implements FileOps {
  readonly ioctlTables: readonly string[] = ['vfio-migration']
  readonly #bytes: Uint8Array
  readonly #preCopy: () => { readonly zeroesFlags: boolean } | undefined
  #filled = HEADER_BYTES
  #at = 0
  #disabled = false

  constructor(ports: number, preCopy: () => { readonly zeroesFlags: boolean } | undefined) {
    this.#bytes = new Uint8Array(HEADER_BYTES + ports * MttyPort.stateBytes)
    this.#preCopy = preCopy
    const view = new DataView(this.#bytes.buffer)
    view.setBigUint64(0, MAGIC, true)
    view.setUint32(8, MAJOR, true)
    view.setUint32(16, ports, true)
  }

  fill(ports: readonly MttyPort[]): void {
    ports.forEach((port, i) => this.#bytes.set(port.save(), HEADER_BYTES + i * MttyPort.stateBytes))
    this.#filled = this.#bytes.length
  }
  disable(): void {
    this.#disabled = true
    this.#filled = this.#at = 0
  }
  read(_caller: Caller, into: Uint8Array): number {
    if (this.#disabled) throw new UapiError('ENODEV', 'mtty_save_read')
    const part = this.#bytes.subarray(this.#at, Math.min(this.#filled, this.#at + into.length))
    into.set(part)
    this.#at += part.length
    return part.length
  }
  ioctl(caller: Caller, number: number, arg: bigint): number {
    const what = 'VFIO_MIG_GET_PRECOPY_INFO'
    if (number !== GET_PRECOPY_INFO) throw new UapiError('ENOTTY', 'ioctl', { number })
    const info = readUser(caller, arg, PRECOPY_INFO_BYTES, what)
    const view = new DataView(info.buffer, info.byteOffset, info.byteLength)
    if (view.getUint32(0, true) < PRECOPY_INFO_BYTES)
      throw new UapiError('EINVAL', what, { argsz: view.getUint32(0, true) })
    const preCopy = this.#preCopy()
    if (!preCopy) throw new UapiError('EINVAL', what)
    if (this.#disabled) throw new UapiError('ENODEV', what)
    if (preCopy.zeroesFlags) view.setUint32(4, 0, true)
    view.setBigUint64(8, BigInt(this.#filled - this.#at), true)
    view.setBigUint64(16, 0n, true)
    writeUser(caller, arg, info, what)
    return 0
  }
  release(): void {
    this.disable()
  }
}

/** Takes a header and ports. */
class ResumingFile implements FileOps {
  readonly #bytes: Uint8Array
  #filled = 0
  #disabled = false

  constructor(ports: number) {
    this.#bytes = new Uint8Array(HEADER_BYTES + ports * MttyPort.stateBytes)
  }

  /** @throws UapiError EINVAL when it is not all there */
  load(ports: readonly MttyPort[]): void {
    if (this.#filled < this.#bytes.length) throw new UapiError('EINVAL', 'mtty_load_state', { bytes: this.#filled })
    ports.forEach((port, i) => {
      const at = HEADER_BYTES + i * MttyPort.stateBytes
      port.load(this.#bytes.subarray(at, at + MttyPort.stateBytes))
    })
  }
  disable(): void {
    this.#disabled = true
    this.#filled = 0
  }
  /** @throws UapiError ENOMEM for more than fits, ENODEV, EFAULT when the header is another card's: the bytes are taken all the same */
  write(_caller: Caller, from: Uint8Array): number {
    const what = 'mtty_resume_write'
    const end = this.#filled + from.length
    if (end > this.#bytes.length) throw new UapiError('ENOMEM', what, { bytes: end })
    if (this.#disabled) throw new UapiError('ENODEV', what)
    this.#bytes.set(from, this.#filled)
    const complete = this.#filled < HEADER_BYTES && end >= HEADER_BYTES
    this.#filled = end
    if (complete && !this.#headerFits) throw new UapiError('EFAULT', what)
    return from.length
  }
  release(): void {
    this.disable()
  }

  get #headerFits(): boolean {
    const view = new DataView(this.#bytes.buffer)
    const ports = (this.#bytes.length - HEADER_BYTES) / MttyPort.stateBytes
    const words = [8, 12, 16, 20].map((at) => view.getUint32(at, true))
    return view.getBigUint64(0, true) === MAGIC && String(words) === String([MAJOR, 0, ports, 0])
  }
}
