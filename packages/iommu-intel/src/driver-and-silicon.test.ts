import {
  bdf,
  type Claim,
  DMA,
  flushGather,
  type Hpa,
  type Iova,
  type PagingDomain,
  type TraceEvents,
  UapiError,
} from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import type { Invalidation } from './driver/invalidation.ts'
import { InvalidationQueue } from './driver/invalidation-queue.ts'
import {
  CAP,
  ECAP,
  ECAP_WITHOUT_SNOOP_CONTROL,
  type Placed,
  run,
  vtdMachine,
  type VtdMachine,
} from './vtd-machine.test-kit.ts'

const RW = { read: true, write: true }
const IOVA = 0x40_0000n
const COHERENT = ECAP | 1n

const read = ({ port }: Placed, iova: Iova): number => port.read(iova, new Uint8Array(8))
function newDomain(at: Placed): PagingDomain {
  const domain = (at.device.paging as NonNullable<Placed['device']['paging']>).alloc({})
  expect(at.device.attach(domain, { replacing: at.device.defaultDomain })).toBe('ok')
  return domain
}
function mapNew(machine: VtdMachine, domain: PagingDomain, iova: Iova = IOVA): Hpa {
  const hpa = machine.pages.alloc(4096)
  domain.map(iova, run(hpa), RW)
  return hpa
}
const faults = (machine: VtdMachine): TraceEvents['fault'][] => {
  const seen: TraceEvents['fault'][] = []
  machine.trace.on('fault', (fault) => void seen.push(fault))
  return seen
}

describe('a mapping', () => {
  test('is reached by DMA, for as long as it is mapped and flushed', () => {
    const machine = vtdMachine()
    const at = machine.add(2)
    const domain = newDomain(at)
    const hpa = mapNew(machine, domain)
    expect(at.port.write(IOVA + 8n, Uint8Array.of(1, 2, 3))).toBe(DMA.OK)
    expect(machine.cpu.load(hpa + 8, 4)).toBe(0x030201n)

    const gather = flushGather()
    expect(domain.unmap(IOVA, 4096n, gather)).toBe(4096n)
    expect(read(at, IOVA)).toBe(DMA.OK)
    domain.sync(gather)
    expect(read(at, IOVA)).toBe(6)
    expect(gather).toEqual(flushGather())
  })
  test('of 2 MiB is one leaf; half of it unmapped leaves the other half', () => {
    const machine = vtdMachine()
    const at = machine.add(2)
    const domain = newDomain(at)
    const hpa = machine.pages.alloc(2 << 20)
    domain.map(IOVA, run(hpa, 2 << 20), RW)
    expect(read(at, IOVA + 0x18_0000n)).toBe(DMA.OK)
    const gather = flushGather()
    expect(domain.unmap(IOVA + 0x10_0000n, 0x10_0000n, gather)).toBe(0x10_0000n)
    domain.sync(gather)
    expect(read(at, IOVA + 0x18_0000n)).toBe(6)
    expect(read(at, IOVA + 0xf_fff8n)).toBe(DMA.OK)
  })
  test('is flushed out of the CPU cache, where walks do not snoop', () => {
    const machine = vtdMachine({ cache: true })
    const at = machine.add(2)
    const domain = newDomain(at)
    mapNew(machine, domain)
    expect(read(at, IOVA)).toBe(DMA.OK)
  })
  test('in caching mode is flushed too, so that a cached "absent" goes', () => {
    const seen: string[] = []
    const machine = vtdMachine({ units: [{ cap: CAP | 0x80n }] })
    machine.trace.on('flushed', ({ what }) => seen.push(what))
    const at = machine.add(2)
    const domain = newDomain(at)
    expect(seen).toEqual(['context device 0', 'iotlb domain 2'])
    mapNew(machine, domain)
    expect(seen.at(-1)).toBe('iotlb pages 2')
  })
})

describe('a function', () => {
  test('that nobody attached is blocked, with the fault the kernel prints', () => {
    const machine = vtdMachine()
    const seen = faults(machine)
    const at = machine.add(2)
    machine.driver.units[0]?.contexts.prepare([0])
    expect(at.port.write(0x20_0000n, Uint8Array.of(1))).toBe(2)
    expect(seen.map((fault) => fault.text)).toEqual([
      'DMAR: [DMA Write NO_PASID] Request device [0000:00:02.0] fault addr 0x200000 [fault reason 0x02] Present bit in context entry is clear',
    ])
    expect(read(at, 0x30_0000n)).toBe(2)
    expect(seen).toHaveLength(2)
  })
  test('blocked again reaches nothing', () => {
    const machine = vtdMachine()
    const at = machine.add(2)
    const domain = newDomain(at)
    mapNew(machine, domain)
    expect(read(at, IOVA)).toBe(DMA.OK)
    at.device.attach(at.device.blocked, { replacing: domain })
    expect(read(at, IOVA)).toBe(2)
  })
  test('passes through in the identity domain, and by default with iommu=pt', () => {
    const machine = vtdMachine({ driver: { identityDefault: true } })
    const at = machine.add(2)
    expect(at.device.defaultDomain).toBe(at.device.identity)
    expect(at.device.attach(at.device.defaultDomain, {})).toBe('ok')
    expect(at.port.write(0x123_4560n, Uint8Array.of(7))).toBe(DMA.OK)
    expect(machine.cpu.load(0x123_4560, 1)).toBe(7n)
  })
  test('has no identity domain where the unit cannot pass through', () => {
    const machine = vtdMachine({ units: [{ ecap: ECAP & ~0x40n }], driver: { identityDefault: true } })
    const { device } = machine.add(2)
    expect(device.identity).toBeUndefined()
    expect(device.defaultDomain.type).toBe('paging')
    expect(device.attach(machine.driver.identity, {})).toBe('incompatible')
  })
  test('behind a bridge is translated under the id the bridge gives it', () => {
    const machine = vtdMachine()
    const at = machine.add(3, bdf(5, 0, 0))
    const neighbour = machine.add(4, bdf(5, 0, 0))
    expect(at.device.requesterIds).toEqual([bdf(0, 3, 0), bdf(5, 0, 0)])
    const domain = newDomain(at)
    expect(neighbour.device.attach(domain, {})).toBe('ok')
    mapNew(machine, domain)
    expect(read(at, IOVA)).toBe(DMA.OK)
    at.device.release()
    expect(read(neighbour, IOVA)).toBe(DMA.OK)
    neighbour.device.release()
    expect(read(neighbour, IOVA)).toBe(2)
  })
  test('refuses what the hardware cannot do', () => {
    const { device } = vtdMachine().add(2)
    expect(() => device.paging?.alloc({ nestParent: true })).toThrow('EOPNOTSUPP')
    expect(() => device.paging?.alloc({ dirtyTracking: true })).toThrow('EOPNOTSUPP')
    expect(device.paging?.alloc({ pasid: true }).type).toBe('paging')
    expect(() => device.attach(device.defaultDomain, { pasid: 1 })).toThrow('EOPNOTSUPP')
    expect(device.attach({ type: 'paging' }, {})).toBe('incompatible')
  })
})

describe('replacing a domain', () => {
  /** Looks after each command the driver sends, and while it waits. */
  test('DMA sees the old or the new one at every step', () => {
    const seen: number[] = []
    let look: (() => void) | undefined
    class Watched extends InvalidationQueue {
      override submit(requests: readonly Invalidation[]): void {
        for (const request of requests) {
          look?.()
          super.submit([request])
        }
        look?.()
      }
    }
    const machine = vtdMachine({ driver: { makeQueue: (parts) => new Watched(parts) } })
    const at = machine.add(2)
    const [old, now] = [newDomain(at), (at.device.paging as { alloc(o: object): PagingDomain }).alloc({})]
    machine.cpu.store(mapNew(machine, old), 1, 1n)
    machine.cpu.store(mapNew(machine, now), 1, 2n)
    const byte = new Uint8Array(1)
    look = () => {
      expect(at.port.read(IOVA, byte)).toBe(DMA.OK)
      seen.push(byte[0] as number)
    }
    look()
    expect(at.device.attach(now, { replacing: old })).toBe('ok')
    expect(seen).toHaveLength(4)
    expect([seen[0], seen[1], seen.at(-1)]).toEqual([1, 1, 2])
    expect(seen).toEqual(seen.toSorted((a, b) => a - b))
  })
  test('a domain id comes back when the last device on the unit left', () => {
    const machine = vtdMachine()
    const ids = machine.driver.units[0]?.ids
    const [a, b] = [machine.add(2), machine.add(3)]
    const domain = newDomain(a)
    b.device.attach(domain, {})
    expect(ids?.used).toBe(1)
    a.device.attach(a.device.blocked, { replacing: domain })
    expect(ids?.used).toBe(1)
    expect(() => domain.free()).toThrow('dmar0 uses it')
    b.device.attach(b.device.blocked, { replacing: domain })
    expect(ids?.used).toBe(0)
    domain.free()
  })
  test('a unit out of domain ids refuses, and leaves the device where it was', () => {
    const machine = vtdMachine({ units: [{ cap: CAP & ~7n }] })
    const devices = Array.from({ length: 14 }, (_, i) => machine.add(i + 1))
    const domains = devices.map(newDomain)
    const last = machine.add(20)
    expect(() => newDomain(last)).toThrow(UapiError)
    expect(() => newDomain(last)).toThrow('ENOSPC')
    expect(machine.driver.units[0]?.ids.used).toBe(14)
    const first = devices[0] as Placed
    mapNew(machine, domains[0] as PagingDomain)
    const other = (first.device.paging as { alloc(o: object): PagingDomain }).alloc({})
    expect(() => first.device.attach(other, {})).toThrow('ENOSPC')
    expect(read(first, IOVA)).toBe(DMA.OK)
  })
  test('each allocation that fails leaves the old domain attached and nothing behind', () => {
    const machine = vtdMachine()
    const at = machine.add(3, bdf(5, 0, 0))
    const domain = (at.device.paging as { alloc(o: object): PagingDomain }).alloc({})
    const before = machine.pages.allocated
    for (const n of [1, 2]) {
      machine.pages.failAfter = n
      expect(() => at.device.attach(domain, {})).toThrow('ENOMEM')
      expect(machine.pages.allocated).toBe(before)
      expect(machine.driver.units[0]?.ids.used).toBe(0)
    }
    expect(at.device.attach(domain, {})).toBe('ok')
    expect(machine.pages.allocated).toBe(before + 2 * 4096)
  })
})

const two = (): VtdMachine =>
  vtdMachine({
    units: [{ scope: [bdf(0, 2, 0)] }, { scope: [bdf(0, 3, 0)], ecap: ECAP_WITHOUT_SNOOP_CONTROL }],
  })

describe('coherency', () => {
  test('once enforced, leaves carry SNP and No Snoop is overridden', () => {
    const machine = vtdMachine()
    const at = machine.add(2)
    const domain = newDomain(at)
    expect(at.device.caps).toEqual({ cacheCoherent: true, enforcesCoherency: true, isolatedMsi: true, pasidBits: 0 })
    expect(domain.coherency?.enforce()).toBe(true)
    mapNew(machine, domain)
    at.port.request.noSnoop = true
    expect(read(at, IOVA)).toBe(DMA.OK)
    expect(at.port.request.out.snooped).toBe(true)
  })
  test('not enforced, No Snoop has its way', () => {
    const machine = vtdMachine()
    const at = machine.add(2)
    mapNew(machine, newDomain(at))
    at.port.request.noSnoop = true
    read(at, IOVA)
    expect(at.port.request.out.snooped).toBe(false)
  })
  test('is refused once something is mapped without it', () => {
    const machine = vtdMachine()
    const domain = newDomain(machine.add(2))
    mapNew(machine, domain)
    expect(domain.coherency?.enforce()).toBe(false)
    domain.sync(flushGather())
    const gather = flushGather()
    domain.unmap(IOVA, 4096n, gather)
    domain.sync(gather)
    expect(domain.coherency?.enforce()).toBe(true)
  })

  describe('with a second unit that cannot override No Snoop', () => {
    test('the second device refuses an enforced domain', () => {
      const machine = two()
      const [a, b] = [machine.add(2), machine.add(3)]
      const domain = newDomain(a)
      domain.coherency?.enforce()
      expect(b.device.caps.enforcesCoherency).toBe(false)
      expect(b.device.attach(domain, {})).toBe('incompatible')
    })
    test('a domain on both cannot enforce it', () => {
      const machine = two()
      const [a, b] = [machine.add(2), machine.add(3)]
      const domain = newDomain(a)
      expect(b.device.attach(domain, {})).toBe('ok')
      expect(domain.coherency?.enforce()).toBe(false)
      expect(domain.coherency?.enforced).toBe(false)
    })
    test('a flush reaches both', () => {
      const machine = two()
      const [a, b] = [machine.add(2), machine.add(3)]
      const domain = newDomain(a)
      b.device.attach(domain, {})
      mapNew(machine, domain)
      expect([read(a, IOVA), read(b, IOVA)]).toEqual([DMA.OK, DMA.OK])
      const gather = flushGather()
      domain.unmap(IOVA, 4096n, gather)
      domain.sync(gather)
      expect([read(a, IOVA), read(b, IOVA)]).toEqual([6, 6])
    })
  })
  test('a domain of a unit that snoops its walks does not fit one that does not', () => {
    const machine = vtdMachine({ units: [{ scope: [bdf(0, 2, 0)], ecap: COHERENT }, { scope: [bdf(0, 3, 0)] }] })
    const [a, b] = [machine.add(2), machine.add(3)]
    expect(b.device.attach(newDomain(a), {})).toBe('incompatible')
    expect(a.device.attach(newDomain(b), {})).toBe('ok')
  })
})

describe('a driver that forgets', () => {
  class Forgetful extends InvalidationQueue {
    change: (request: Invalidation) => Invalidation | undefined = (request) => request
    override submit(requests: readonly Invalidation[]): void {
      super.submit(requests.map(this.change).filter((r) => r !== undefined))
    }
  }
  function stale(change: Forgetful['change']): number {
    let queue: Forgetful | undefined
    const machine = vtdMachine({ driver: { makeQueue: (parts) => (queue = new Forgetful(parts)) } })
    const at = machine.add(2)
    const domain = newDomain(at)
    mapNew(machine, domain)
    mapNew(machine, domain, IOVA + 0x1000n)
    read(at, IOVA)
    read(at, IOVA + 0x1000n)
    if (queue) queue.change = change
    const gather = flushGather()
    domain.unmap(IOVA, 0x2000n, gather)
    domain.sync(gather)
    return read(at, IOVA + 0x1000n)
  }
  test('nothing sees DMA fault', () => {
    expect(stale((request) => request)).toBe(6)
  })
  test('the IOTLB is caught: DMA still lands', () => {
    expect(stale((request) => (request.kind === 'iotlb' ? undefined : request))).toBe(DMA.OK)
  })
  test('its domain id is caught', () => {
    expect(stale((request) => ({ ...request, domain: request.domain + 1 }))).toBe(DMA.OK)
  })
  test('the last page is caught', () => {
    expect(stale((request) => (request.kind === 'iotlb' ? { ...request, order: request.order - 1 } : request))).toBe(
      DMA.OK,
    )
  })
  test('to wait is caught on a unit that lags', () => {
    class Hasty extends InvalidationQueue {
      hasty = false
      protected override settle(first: number, wait: number): void {
        if (!this.hasty) super.settle(first, wait)
      }
    }
    let queue: Hasty | undefined
    const machine = vtdMachine({ lag: true, driver: { makeQueue: (parts) => (queue = new Hasty(parts)) } })
    const at = machine.add(2)
    const domain = newDomain(at)
    for (const [hasty, status] of [
      [false, 6],
      [true, DMA.OK],
    ] as const) {
      mapNew(machine, domain)
      read(at, IOVA)
      if (queue) queue.hasty = hasty
      const gather = flushGather()
      domain.unmap(IOVA, 4096n, gather)
      domain.sync(gather)
      expect(read(at, IOVA)).toBe(status)
    }
  })
})

test('what the tables map, who is attached and what is in use is claimed', () => {
  const machine = vtdMachine()
  const at = machine.add(2)
  const idle = machine.add(3)
  const domain = newDomain(at)
  const hpa = mapNew(machine, domain)
  const claims = machine.driver.claims()
  const of = (kind: Claim['kind']): Claim[] => claims.filter((claim) => claim.kind === kind)
  expect(of('mapped')).toEqual([
    { kind: 'mapped', domain, unit: 'dmar0', tag: 2, iova: IOVA, bytes: 4096n, hpa, write: true },
  ])
  expect(of('attached')).toMatchObject([
    { requester: at.fn.bdf, domain, type: 'paging', tag: 2 },
    { requester: idle.fn.bdf, type: 'blocked' },
  ])
  expect(of('count').filter((c) => c.kind === 'count' && c.actual !== c.expected)).toEqual([])
})

test('taken down, everything is given back and nothing is translated', () => {
  const machine = vtdMachine()
  const at = machine.add(2)
  at.device.attach(at.device.defaultDomain, {})
  const own = newDomain(at)
  machine.driver.close()
  own.free()
  expect(machine.pages.allocated).toBe(0)
  expect(at.port.write(0x123_4560n, Uint8Array.of(7))).toBe(DMA.OK)
  expect(machine.cpu.load(0x123_4560, 1)).toBe(7n)
})

test('a 57-bit unit translates its highest page', () => {
  const machine = vtdMachine({ units: [{ cap: 0x80d2_008c_2238_0e06n, ecap: COHERENT }] })
  const at = machine.add(2)
  const domain = newDomain(at)
  expect(domain.aperture).toEqual({ first: 0n, last: (1n << 57n) - 1n })
  const high = (1n << 57n) - 4096n
  mapNew(machine, domain, high)
  expect(read(at, high)).toBe(DMA.OK)
})
