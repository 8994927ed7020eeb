/** A host with devices on bus 0 and no IOMMU, driven as a kernel drives it: configuration cycles, loads and stores, time. */
import {
  Clock,
  Cpus,
  createHost,
  type Host,
  Interrupts,
  Memory,
  parseBdf,
  Pci,
  type PciFunction,
  type Plugin,
} from '@ioasis/core'

const COMMAND = 0x04
const MEMORY_AND_MASTER = 6

/** The machine under test. */
export class Rig {
  readonly host: Host

  constructor(plugins: readonly Plugin[], cache = false) {
    this.host = createHost({ plugins, machine: { ram: 16 << 20, cache } })
  }
  fn(at: string): PciFunction {
    const place = parseBdf(at)
    const fn = place && this.host.get(Pci).at(place.segment, place.bdf)
    if (!fn) throw new Error(`nothing at ${at}`)
    return fn
  }
  /** Lets a function decode and master the bus. */
  enable(at: string, command: number = MEMORY_AND_MASTER): PciFunction {
    const fn = this.fn(at)
    fn.writeConfig(COMMAND, 2, command)
    return fn
  }
  load(at: string, offset: number, size: 1 | 2 | 4 | 8 = 4, bar = 0): bigint {
    return this.host.get(Cpus)[0].load(this.#address(at, bar) + offset, size)
  }
  store(at: string, offset: number, value: number | bigint, size: 1 | 2 | 4 | 8 = 4, bar = 0): void {
    this.host.get(Cpus)[0].store(this.#address(at, bar) + offset, size, BigInt(value))
  }
  /** RAM as the bus sees it. */
  ram(hpa: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length)
    this.host.get(Memory).read(hpa, bytes)
    return bytes
  }
  fill(hpa: number, bytes: ArrayLike<number>): void {
    this.host.get(Memory).write(hpa, Uint8Array.from(bytes))
  }
  pass(ms: number): void {
    this.host.get(Clock).advance(ms)
  }
  /** Points MSI at vector `vector` of CPU 0. */
  setUpMsi(at: string, vector: number): void {
    const fn = this.fn(at)
    const msi = fn.capability(0x05)
    fn.writeConfig(msi + 4, 4, 0xfee0_0000)
    fn.writeConfig(msi + 0xc, 2, vector)
    fn.writeConfig(msi + 2, 2, fn.readConfig(msi + 2, 2) | 1)
  }
  get pending(): readonly number[] {
    return this.host.get(Interrupts).pending
  }
  #address(at: string, bar: number): number {
    const address = this.fn(at).barAddress(bar)
    if (address === undefined) throw new Error(`BAR ${bar} of ${at} does not decode`)
    return address
  }
}
