/** A POWER machine with functions that do nothing but DMA, for the tests that look at driver and silicon at once. */
import {
  bdf,
  createHost,
  type DmaWindow,
  type DmaWindows,
  type ErrorRecovery,
  type FunctionModel,
  type Group,
  type Host,
  IommuGroups,
  type Iova,
  Memory,
  Pages,
  Pci,
  type PciFunction,
  type Plugin,
  type TceAccess,
} from '@ioasis/core'
import { powernvIommu, type PowernvOptions, pseriesIommu, type PseriesOptions } from './plugin.ts'

const RAM = 256 << 20

/** A function with a BAR of 4 KiB at 0xc0000000 that reads 0x5a. */
function master(bar: boolean): FunctionModel {
  const config = new Uint8Array(256)
  const view = new DataView(config.buffer)
  view.setUint32(0, 0x0001_1af4, true)
  view.setUint16(4, bar ? 0x0006 : 0x0004, true)
  view.setUint32(8, 0xff00_0000, true)
  if (bar) view.setUint32(0x10, 0xc000_0000, true)
  const window = { load: () => 0x5an, store: () => undefined }
  const bars = bar
    ? ([{ index: 0, size: 4096, space: 'memory', wide: false, prefetchable: false, window }] as const)
    : []
  return { name: 'dma master', config, bars }
}

/** A machine at work. */
export class PowerMachine {
  readonly host: Host
  readonly first: PciFunction
  readonly second: PciFunction

  /** Functions 0000:00:01.0 and 0001:00:01.0, each alone in its endpoint. */
  constructor(iommu: Plugin, pageSize: number) {
    const functions: Plugin = {
      name: 'dma masters',
      contract: 1,
      needs: [Pci],
      setup: (host) => {
        host.get(Pci).place(master(true), { segment: 0, bdf: bdf(0, 1, 0) })
        host.get(Pci).place(master(false), { segment: 1, bdf: bdf(0, 1, 0) })
      },
    }
    const kernel = { pageSize, iommufd: false, cdev: false, container: 'spapr' } as const
    this.host = createHost({ plugins: [iommu, functions], machine: { ram: RAM }, kernel })
    const [first, second] = this.host.get(Pci).functions as [PciFunction, PciFunction]
    this.first = first
    this.second = second
  }

  group(fn: PciFunction = this.first): Group {
    return this.host.get(IommuGroups).of(fn) as Group
  }
  windows(fn: PciFunction = this.first): DmaWindows {
    return this.host.get(IommuGroups).deviceOf(fn)?.windows as DmaWindows
  }
  recovery(): ErrorRecovery {
    return this.host.get(IommuGroups).deviceOf(this.first)?.recovery as ErrorRecovery
  }
  /** User space takes a group. */
  claim(fn: PciFunction = this.first): void {
    this.group(fn).claim(this, false)
  }
  release(fn: PciFunction = this.first): void {
    this.group(fn).release(this)
  }
  /** Makes a window and programs it. */
  window(slot: number, pageShift: number, bytes: bigint, levels = 1, fn: PciFunction = this.first): DmaWindow {
    const window = this.windows(fn).create(slot, { pageShift, bytes, levels })
    this.windows(fn).set(slot, window)
    return window
  }
  /** Host memory of one page, aligned to it. */
  page(bytes: number): number {
    return this.host.get(Pages).alloc(bytes, 'a test')
  }
  /** Puts an entry and lets hardware know. */
  put(window: DmaWindow, index: number, hpa: number, access: TceAccess = 3): void {
    window.exchange(index, hpa, access)
    window.kill(index, 1)
  }
  /** Writes a word by DMA. @returns the status */
  write(iova: Iova, value = 0x77, fn: PciFunction = this.first): number {
    return fn.dma.write(iova, Uint8Array.of(value, 0, 0, 0))
  }
  /** Reads a byte by DMA; a negative number: refused. */
  read(iova: Iova, fn: PciFunction = this.first): number {
    const into = new Uint8Array(4)
    const status = fn.dma.read(iova, into)
    return status === 0 ? (into[0] as number) : -status
  }
  byteAt(hpa: number): number {
    const into = new Uint8Array(1)
    this.host.get(Memory).read(hpa, into)
    return into[0] as number
  }
}

const BRIDGES = [{ segment: 0 }, { segment: 1 }]
export const powernv = (options: PowernvOptions = {}, pageSize = 4096): PowerMachine =>
  new PowerMachine(powernvIommu({ bridges: BRIDGES, ...options }), pageSize)
export const pseries = (options: PseriesOptions = {}, pageSize = 4096): PowerMachine =>
  new PowerMachine(pseriesIommu({ bridges: BRIDGES, ...options }), pageSize)

/** The errno an action is refused with; undefined: it was not. */
export function refusal(action: () => unknown): string | undefined {
  try {
    action()
    return undefined
  } catch (error) {
    return (error as { errno?: string }).errno ?? String(error)
  }
}
