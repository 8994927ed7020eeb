/**
 * QEMU's pci-testdev, 1b36:0005: a function whose BARs count accesses. Facts: QEMU 11.1 docs/specs/pci-testdev.rst and the
 * behaviour of hw/misc/pci-testdev.c. Its tests with an eventfd never count, because the eventfd takes the write.
 */
import type { Bar, FunctionModel, MmioWindow, Plugin } from '@ioasis/core'
import { buildConfig } from './config-builder.ts'
import { type PlaceAt, placed } from './placed.ts'
import { qemuWritable } from './qemu-masks.ts'

const TESTS = ['no-eventfd', 'wildcard-eventfd', 'datamatch-eventfd'] as const
const KINDS = ['mmio', 'portio'] as const
/** Where the byte under test lies in each BAR, before the test's own number is added. */
const TARGET_AT = { mmio: 2048, portio: 128 } as const
const BAR_BYTES = { mmio: 4096, portio: 256 } as const
const MATCHING = 0xfa
const ANY = 0xce

/** Offsets in the header that each BAR begins with. */
export const TESTDEV = { TEST: 0, WIDTH: 1, OFFSET: 4, DATA: 8, COUNT: 12, NAME: 16 } as const

/** A test: the header that software reads. */
interface Test {
  readonly header: Uint8Array
  readonly offset: number
  readonly counts: boolean
  readonly data: number
}

/** How a pci-testdev differs from the default. */
export interface PciTestdevOptions {
  /** A configuration space to show instead of its own, e.g. a recorded one. */
  readonly config?: Uint8Array
  /** Function 0 of a slot with several functions. */
  readonly multifunction?: boolean
}

/** The device model. All accesses happen byte by byte, as in QEMU. */
export class PciTestdev implements FunctionModel {
  readonly name = 'pci-testdev'
  readonly config: Uint8Array
  readonly writable: Uint8Array
  readonly bars: readonly Bar[]
  readonly #tests: readonly Test[] = KINDS.flatMap((kind, k) => TESTS.map((test, t) => makeTest(kind, test, 3 * k + t)))
  #current: Test | undefined

  constructor(options: PciTestdevOptions = {}) {
    this.bars = KINDS.map((kind, index) => ({
      index,
      size: BAR_BYTES[kind],
      space: kind === 'mmio' ? 'memory' : 'io',
      wide: false,
      prefetchable: false,
      window: this.#window(index),
    }))
    this.config =
      options.config?.slice() ??
      buildConfig({
        vendor: 0x1b36,
        device: 0x0005,
        subsystemVendor: 0x1af4,
        subsystem: 0x1100,
        classCode: 0x00ff00,
        multifunction: options.multifunction ?? false,
        bars: this.bars,
      })
    this.writable = qemuWritable(this.config, this.bars)
  }

  reset(): void {
    this.#current = undefined
  }

  #window(kind: number): MmioWindow {
    return {
      load: (offset, size) => {
        let value = 0n
        for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.#read(offset + i))
        return value
      },
      store: (offset, size, value) => {
        for (let i = 0; i < size; i++) this.#write(kind, offset + i, Number((value >> BigInt(8 * i)) & 0xffn))
      },
    }
  }
  #read(offset: number): number {
    const header = this.#current?.header
    return header && offset + 1 < header.length ? (header[offset] as number) : 0
  }
  #write(kind: number, offset: number, value: number): void {
    if (offset === TESTDEV.TEST) {
      this.#current = value < TESTS.length ? this.#tests[3 * kind + value] : undefined
      if (this.#current) countOf(this.#current).setUint32(0, 0, true)
      return
    }
    const test = this.#current
    if (!test?.counts || offset !== test.offset || value !== test.data) return
    const count = countOf(test)
    count.setUint32(0, count.getUint32(0, true) + 1, true)
  }
}

const countOf = ({ header }: Test): DataView => new DataView(header.buffer, TESTDEV.COUNT, 4)

function makeTest(kind: (typeof KINDS)[number], test: (typeof TESTS)[number], number: number): Test {
  const name = `${kind}-${test}`
  const header = new Uint8Array(TESTDEV.NAME + name.length + 1)
  const offset = TARGET_AT[kind] + number
  const data = test === 'wildcard-eventfd' ? ANY : MATCHING
  header[TESTDEV.TEST] = number
  header[TESTDEV.WIDTH] = 1
  new DataView(header.buffer).setUint32(TESTDEV.OFFSET, offset, true)
  header[TESTDEV.DATA] = data
  for (let i = 0; i < name.length; i++) header[TESTDEV.NAME + i] = name.charCodeAt(i)
  return { header, offset, data, counts: test === 'no-eventfd' }
}

/** Places a pci-testdev. @param options `at`: where, e.g. `00:02.0` */
export const pciTestdev = (options: PlaceAt & PciTestdevOptions): Plugin =>
  placed('pci-testdev', options, [], () => new PciTestdev(options))
