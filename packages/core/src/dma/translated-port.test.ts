import { describe, expect, test } from 'vitest'
import { HostMemory } from '../memory/host-memory.ts'
import { Trace } from '../trace.ts'
import { DmaFabric } from './fabric.ts'
import { InterruptController } from './interrupt-controller.ts'
import { DMA, type DmaRequest, TARGET } from './request.ts'
import { TranslatedPort, type TranslatedPortOptions } from './translated-port.ts'
import type { AtsGrant, DeviceTlb, IommuUnit, PageRequest } from './unit.ts'

/** Maps page numbers; translated requests pass, others are refused. */
class ToyUnit implements IommuUnit {
  readonly name = 'toy'
  readonly pages = new Map<bigint, { hpa: number; write: boolean }>()
  readonly asked: PageRequest[] = []
  translations = 0
  tlb: DeviceTlb | undefined
  /** Answers on the spot. */
  answer: 'success' | 'failure' | undefined
  readonly ats = {
    translate: (request: DmaRequest, grant: AtsGrant): number => {
      this.translations++
      const page = this.pages.get(request.iova >> 12n)
      grant.status = 'success'
      grant.read = page !== undefined
      grant.write = page?.write ?? false
      grant.snooped = true
      grant.untranslatedOnly = false
      grant.hpaHi = 0
      grant.hpaLo = page?.hpa ?? 0
      grant.shift = 12
      return request.requester === 8 ? DMA.OK : 7
    },
    connect: (_requester: number, tlb: DeviceTlb): void => {
      this.tlb = tlb
    },
  }
  readonly pri = {
    request: (request: PageRequest): boolean => {
      this.asked.push(request)
      if (this.answer) request.respond(this.answer)
      return true
    },
  }
  covers(): boolean {
    return true
  }
  translate(request: DmaRequest): number {
    if (!request.translated) return 9
    const { out } = request
    out.target = TARGET.MEMORY
    out.hpaHi = request.iovaHi
    out.hpaLo = request.iovaLo
    out.bytes = request.length
    out.snooped = !request.noSnoop
    return DMA.OK
  }
  reasonText(): string {
    return 'refused'
  }
  inspect(): readonly [] {
    return []
  }
}

function rig(
  options?: TranslatedPortOptions,
  requester = 8,
): { unit: ToyUnit; device: TranslatedPort; memory: HostMemory } {
  const memory = new HostMemory()
  memory.addRam(0, 1 << 20)
  const unit = new ToyUnit()
  const bus = new DmaFabric(memory, new InterruptController(), new Trace())
  bus.addUnit(unit)
  return { unit, memory, device: new TranslatedPort(bus.port(0, requester), unit, options) }
}
const data = Uint8Array.of(1, 2, 3, 4)
const held = (memory: HostMemory, hpa: number): number[] => {
  const bytes = new Uint8Array(4)
  memory.read(hpa, bytes)
  return [...bytes]
}

describe('translations', () => {
  test('are asked for once and then kept', () => {
    const { unit, device, memory } = rig()
    unit.pages.set(5n, { hpa: 0x3000, write: true })
    expect([device.write(0x5010n, data), device.write(0x5020n, data), unit.translations]).toEqual([DMA.OK, DMA.OK, 1])
    expect([held(memory, 0x3010), held(memory, 0x3020)]).toEqual([
      [1, 2, 3, 4],
      [1, 2, 3, 4],
    ])
  })
  test('an access over two pages goes to both', () => {
    const { unit, device, memory } = rig()
    unit.pages.set(5n, { hpa: 0x3000, write: true }).set(6n, { hpa: 0x8000, write: true })
    expect([device.write(0x5ffen, data), device.transferred]).toEqual([DMA.OK, 4])
    expect([held(memory, 0x3ffc), held(memory, 0x8000)]).toEqual([
      [0, 0, 1, 2],
      [3, 4, 0, 0],
    ])
  })
  test('that the driver changed are used until it invalidates them', () => {
    const { unit, device, memory } = rig()
    unit.pages.set(5n, { hpa: 0x3000, write: true })
    device.write(0x5000n, data)
    unit.pages.set(5n, { hpa: 0x4000, write: true })
    device.write(0x5008n, data)
    let answered = false
    device.invalidate(-1, 0x5000n, 0x5fffn, () => (answered = true))
    device.write(0x5010n, data)
    expect([held(memory, 0x3008), held(memory, 0x4010), answered]).toEqual([[1, 2, 3, 4], [1, 2, 3, 4], true])
  })
  test('the oldest goes when the cache is full', () => {
    const { unit, device } = rig({ entries: 2 })
    for (const page of [1n, 2n, 3n]) unit.pages.set(page, { hpa: 0x3000, write: true })
    for (const iova of [0x1000n, 0x2000n, 0x3000n, 0x2000n, 0x1000n]) device.write(iova, data)
    expect([unit.translations, device.size]).toEqual([4, 2])
  })
  test('a device that does not answer invalidations catches up once it does', () => {
    const { device } = rig()
    const answered: number[] = []
    device.answers = false
    device.invalidate(-1, 0n, 0xfffn, () => answered.push(1))
    expect(answered).toEqual([])
    device.answers = true
    expect(answered).toEqual([1])
  })
})

describe('a page that is not there', () => {
  test('is refused to a device without page requests', () => {
    const { unit, device } = rig()
    expect([device.read(0x5000n, new Uint8Array(4)), unit.asked.length]).toEqual([DMA.NO_TRANSLATION, 0])
  })
  test('is asked for once; the access is pending, and goes on after the answer', () => {
    const { unit, device, memory } = rig({ pageRequests: 4 })
    let resumed = 0
    device.resumed = () => resumed++
    unit.pages.set(5n, { hpa: 0x3000, write: true })
    const status = device.write(0x5ffen, data)
    expect([status, device.transferred, device.write(0x6000n, data)]).toEqual([DMA.PENDING, 2, DMA.PENDING])
    expect([unit.asked.length, device.outstanding]).toEqual([1, 1])
    expect(unit.asked[0]).toMatchObject({ iova: 0x6000n, read: false, write: true, last: true, requester: 8 })
    unit.pages.set(6n, { hpa: 0x9000, write: true })
    unit.asked[0]?.respond('success')
    expect([resumed, device.outstanding, device.write(0x6000n, data.subarray(2))]).toEqual([1, 0, DMA.OK])
    expect(held(memory, 0x9000)).toEqual([3, 4, 0, 0])
  })
  test.each(['invalid', 'failure'] as const)(
    'ends the access when the answer is %s; a later one asks again',
    (code) => {
      const { unit, device } = rig({ pageRequests: 1 })
      device.read(0x5000n, new Uint8Array(4))
      unit.asked[0]?.respond(code)
      expect(device.read(0x5000n, new Uint8Array(4))).toBe(DMA.NO_TRANSLATION)
      expect([device.read(0x5000n, new Uint8Array(4)), unit.asked.length]).toEqual([DMA.PENDING, 2])
    },
  )
  test('more requests than the device may have open wait', () => {
    const { unit, device } = rig({ pageRequests: 1 })
    device.read(0x5000n, new Uint8Array(4))
    expect([device.read(0x7000n, new Uint8Array(4)), unit.asked.length]).toEqual([DMA.PENDING, 1])
  })
  test('an answer on the spot is taken at once', () => {
    const { unit, device } = rig({ pageRequests: 1 })
    unit.answer = 'failure'
    expect(device.read(0x5000n, new Uint8Array(4))).toBe(DMA.NO_TRANSLATION)
    unit.answer = 'success'
    unit.pages.set(5n, { hpa: 0x3000, write: false })
    expect([device.read(0x5000n, new Uint8Array(4)), device.write(0x5000n, data)]).toEqual([DMA.OK, DMA.NO_TRANSLATION])
  })
  test('a reset forgets what was asked', () => {
    const { unit, device } = rig({ pageRequests: 1 })
    let resumed = 0
    device.resumed = () => resumed++
    device.read(0x5000n, new Uint8Array(4))
    device.reset()
    unit.asked[0]?.respond('success')
    expect([resumed, device.outstanding]).toEqual([0, 0])
  })
})
test('a function that may not use the service hears the reason', () => {
  const { device } = rig({}, 16)
  expect(device.write(0n, data)).toBe(7)
})
test('a unit without the service is no partner', () => {
  const bare: IommuUnit = {
    name: 'bare',
    covers: () => true,
    translate: () => DMA.OK,
    reasonText: String,
    inspect: () => [],
  }
  const bus = new DmaFabric(new HostMemory(), new InterruptController(), new Trace())
  expect(() => new TranslatedPort(bus.port(0, 8), bare)).toThrow('bare translates nothing')
})
