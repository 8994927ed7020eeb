import { describe, expect, test } from 'vitest'
import { CHUNK_BYTES, CHUNK_MASK, chunkIndex, HostMemory } from '../memory/host-memory.ts'
import { Trace } from '../trace.ts'
import { DmaFabric } from './fabric.ts'
import type { InterruptMessage, Interrupts } from './interrupt.ts'
import type { DmaPort } from './port.ts'
import { ACCESS, DMA, type DmaRequest, type Status, TARGET } from './request.ts'
import type { IommuUnit } from './unit.ts'

const PAGE = 4096
const bytes = (n: number, start = 0): Uint8Array => Uint8Array.from({ length: n }, (_, i) => (start + i) & 0xff)

/** A unit that maps page numbers through a table and counts what it is asked. */
class TableUnit implements IommuUnit {
  readonly name = 'table'
  readonly pages = new Map<number, number>()
  asked: number[] = []
  snoop = true
  covers(): boolean {
    return true
  }
  translate(request: DmaRequest): Status {
    const iova = Number(request.iova)
    this.asked.push(iova)
    const page = this.pages.get(Math.floor(iova / PAGE))
    if (page === undefined) return 6
    const { out } = request
    out.target = TARGET.MEMORY
    out.hpaHi = 0
    out.hpaLo = (page * PAGE + (iova % PAGE)) | 0
    out.bytes = Math.min(request.length, PAGE - (iova % PAGE))
    out.snooped = this.snoop
    return DMA.OK
  }
  reasonText(): string {
    return 'not mapped'
  }
  inspect(): readonly [] {
    return []
  }
}

function bench(options: { views?: boolean } = {}): {
  memory: HostMemory
  fabric: DmaFabric
  trace: Trace
  delivered: InterruptMessage[]
} {
  const memory = new HostMemory(options)
  memory.addRam(0, 8 << 20)
  const delivered: InterruptMessage[] = []
  const trace = new Trace()
  const sink = { deliver: (m: InterruptMessage) => void delivered.push(m) } as unknown as Interrupts
  return { memory, fabric: new DmaFabric(memory, sink, trace), trace, delivered }
}
const read = (memory: HostMemory, hpa: number, n: number): Uint8Array => {
  const into = new Uint8Array(n)
  memory.read(hpa, into)
  return into
}
function translated(options: { views?: boolean } = {}): ReturnType<typeof bench> & { unit: TableUnit; port: DmaPort } {
  const world = bench(options)
  const unit = new TableUnit()
  world.fabric.addUnit(unit)
  return { ...world, unit, port: world.fabric.port(0, 0x10) }
}

describe('without a unit', () => {
  test('an iova is the hpa, and an 8-byte word lands whole', () => {
    const { memory, fabric } = bench()
    const port = fabric.port(0, 0x10)
    expect(port.write(0x1234n, bytes(40))).toBe(DMA.OK)
    expect(read(memory, 0x1234, 40)).toEqual(bytes(40))
    expect(port.store64(0, 0x2000, 0x11223344, -2)).toBe(DMA.OK)
    expect(port.load64(0, 0x2000)).toBe(DMA.OK)
    expect([port.lo, port.hi]).toEqual([0x11223344, -2])
  })
  test('a write where nothing answers stops there and tells how far it came', () => {
    const { fabric } = bench()
    const port = fabric.port(0, 0x10)
    expect(port.write(BigInt((8 << 20) - 16), bytes(64))).toBe(DMA.NO_TARGET)
    expect(port.transferred).toBe(16)
  })
  test('a 4-byte write into the window is a message; other accesses there get no answer', () => {
    const { fabric, delivered } = bench()
    const port = fabric.port(0, 0x10)
    expect(port.sendMsi(0xfee0_3004n, 0x0041)).toBe(DMA.OK)
    expect(delivered).toEqual([{ vector: 0x41, dest: 3, destMode: 'logical', deliveryMode: 0 }])
    const into = bytes(8, 1)
    expect(port.read(0xfee0_0000n, into)).toBe(DMA.OK)
    expect(into).toEqual(new Uint8Array(8))
    expect(port.write(0xfee0_0000n, bytes(8))).toBe(DMA.OK)
    expect(delivered).toHaveLength(1)
  })
  test('a function that may not master the bus moves nothing', () => {
    const { fabric, memory } = bench()
    const port = fabric.port(0, 0x10)
    port.enabled = false
    expect(port.write(0n, bytes(8, 9))).toBe(DMA.DISABLED)
    expect(port.store64(0, 0, 1, 1)).toBe(DMA.DISABLED)
    expect(read(memory, 0, 8)).toEqual(new Uint8Array(8))
  })
})

describe('through a unit', () => {
  test('scattered pages are read and written in order', () => {
    const { unit, port, memory } = translated()
    unit.pages.set(1, 700).set(2, 5).set(3, 6)
    const data = bytes(3 * PAGE - 100, 3)
    expect(port.write(0x1064n, data)).toBe(DMA.OK)
    expect(read(memory, 700 * PAGE + 100, PAGE - 100)).toEqual(data.slice(0, PAGE - 100))
    expect(read(memory, 5 * PAGE, 2 * PAGE)).toEqual(data.slice(PAGE - 100))
    const back = new Uint8Array(data.length)
    expect(port.read(0x1064n, back)).toBe(DMA.OK)
    expect(back).toEqual(data)
  })
  test('each page is asked for once, the refused one too', () => {
    const { unit, port, memory } = translated()
    unit.pages.set(1, 9).set(2, 10)
    expect(port.write(0x1000n, bytes(3 * PAGE))).toBe(6)
    expect(unit.asked).toEqual([0x1000, 0x2000, 0x3000])
    expect(port.transferred).toBe(2 * PAGE)
    expect(read(memory, 10 * PAGE, 16)).toEqual(bytes(PAGE + 16).slice(PAGE))
  })
  test('a transfer that crosses a chunk of memory stays whole', () => {
    const { unit, port, memory } = translated()
    for (let i = 0; i < 128; i++) unit.pages.set(i, i + 32)
    const data = bytes(128 * PAGE, 7)
    expect(port.write(0n, data)).toBe(DMA.OK)
    const landed = read(memory, 32 * PAGE, data.length)
    expect(landed.findIndex((b, i) => b !== data[i])).toBe(-1)
  })
  test('an empty transfer asks nothing', () => {
    const { unit, port } = translated()
    expect(port.write(0x9000n, new Uint8Array(0))).toBe(DMA.OK)
    expect(unit.asked).toEqual([])
  })
  test('the same bytes land when memory gives out no views', () => {
    const { unit, port, memory } = translated({ views: false })
    unit.pages.set(1, 70).set(2, 71)
    expect(port.write(0x1ff0n, bytes(40))).toBe(DMA.OK)
    expect(read(memory, 70 * PAGE + 0xff0, 40)).toEqual(bytes(40))
    expect(memory.words).toEqual([])
  })
  test('a fetch-and-add asks for both permissions and returns the old value', () => {
    const { unit, port } = translated()
    unit.pages.set(1, 3)
    port.store64(0, 0x1008, 5, 0)
    expect(port.fetchAdd64(0, 0x1008, 0xffff_ffffn)).toBe(DMA.OK)
    expect([port.lo, port.hi]).toEqual([5, 0])
    port.load64(0, 0x1008)
    expect([port.lo, port.hi]).toEqual([4, 1])
  })
})

test('registers behind the target are reached in aligned accesses', () => {
  const { fabric, memory } = bench()
  const seen: string[] = []
  memory.addMmio(0x100_0000, PAGE, {
    load: () => 0n,
    store: (offset, size, value) => void seen.push(`${offset}/${size}=${value.toString(16)}`),
  })
  fabric.port(0, 8).write(0x100_0002n, bytes(10, 1))
  expect(seen).toEqual(['2/2=201', '4/4=6050403', '8/4=a090807'])
})

test('peers that answer DMA with DMA stop at a bounded depth', () => {
  const { fabric, memory } = bench()
  const port = fabric.port(0, 8)
  const statuses: Status[] = []
  memory.addMmio(0x100_0000, PAGE, {
    load: () => 0n,
    store: () => void statuses.push(fabric.port(0, 9).write(0x100_0000n, bytes(4))),
  })
  expect(port.write(0x100_0000n, bytes(4))).toBe(DMA.OK)
  expect(statuses[0]).toBe(DMA.TOO_DEEP)
})

test('a port dropped from the bus sends nothing any more', () => {
  const { fabric } = bench()
  const port = fabric.port(0, 8)
  fabric.drop(port)
  expect(port.write(0n, bytes(4))).toBe(DMA.DISABLED)
  expect(fabric.ports).toBe(0)
})

test('transfers are traced only while somebody listens', () => {
  const { fabric, trace } = bench()
  const port = fabric.port(0, 8)
  const seen: unknown[] = []
  const off = trace.on('dma', (event) => seen.push(event))
  port.write(0x40n, bytes(8))
  fabric.port(0, 9).store64(0, 0x48, 1, 2)
  off()
  port.write(0x40n, bytes(8))
  expect(seen).toEqual([
    { requester: 8, write: true, iova: 0x40n, bytes: 8, status: DMA.OK },
    { requester: 9, write: true, iova: 0x48n, bytes: 8, status: DMA.OK },
  ])
  expect([fabric.traced, port.traced]).toEqual([false, false])
})

test('the attributes set on the request reach the unit', () => {
  const { fabric } = bench()
  const seen: unknown[] = []
  const unit = new TableUnit()
  unit.translate = (r): Status => {
    seen.push([r.access, r.noSnoop, r.pasid, r.length])
    return 1
  }
  fabric.addUnit(unit)
  const port = fabric.port(0, 8)
  port.request.noSnoop = true
  port.request.pasid = 5
  port.write(0n, bytes(24))
  expect(seen).toEqual([[ACCESS.WRITE, true, 5, 24]])
})

test('the literals of the hot paths are the constants they stand for', () => {
  expect([ACCESS.WRITE, TARGET.MEMORY, DMA.OK, CHUNK_BYTES, CHUNK_MASK]).toEqual([2, 1, 0, 0x4_0000, 0x3_ffff])
  expect([chunkIndex(1, -1), chunkIndex(0x2_0000, 0)]).toEqual([0x7fff, 0x7fff_ffff])
})
