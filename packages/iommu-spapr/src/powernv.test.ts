import { Interrupts, IommuUnit, Pages } from '@ioasis/core'
import { audit } from '@ioasis/testkit'
import { describe, expect, test } from 'vitest'
import { powernv, refusal } from './power-machine.test-kit.ts'

const BIT59 = 0x800_0000_0000_0000n
const GIB = 1n << 30n

/** The address of an entry of the second window. */
const at = (index: number): bigint => BIT59 + BigInt(index) * 4096n

describe('ownership', () => {
  test('the platform reaches memory one to one at bit 59 while it owns the endpoint', () => {
    const machine = powernv()
    const hpa = machine.page(4096)
    expect(machine.write(BIT59 + BigInt(hpa))).toBe(0)
    expect(machine.byteAt(hpa)).toBe(0x77)
  })
  test('nothing is reachable once user space took it', () => {
    const machine = powernv({ personality: 'qemu' })
    machine.claim()
    expect(machine.windows().present).toEqual([undefined, undefined])
    expect([machine.write(BIT59), machine.write(0n)].every((status) => status > 0)).toBe(true)
  })
  test('taking and giving back leaves as much memory as before', () => {
    const machine = powernv()
    const before = machine.host.get(Pages).allocated
    machine.claim()
    const window = machine.window(0, 12, GIB, 3)
    machine.put(window, 5, machine.page(4096))
    machine.windows().unset(0)
    window.put()
    machine.release()
    expect(machine.host.get(Pages).allocated).toBe(before + 4096)
    expect(machine.write(BIT59)).toBe(0)
    expect(audit(machine.host).violations).toEqual([])
  })
  test('closing the host frees all tables', () => {
    const machine = powernv()
    const pages = machine.host.get(Pages)
    machine.host.close()
    expect(pages.allocated).toBe(0)
  })
})

describe('windows', () => {
  test.each([
    [0, 12, 1, 0n],
    [1, 12, 1, BIT59],
    [1, 12, 2, BIT59],
    [1, 12, 4, BIT59],
    [0, 16, 3, 0n],
    [1, 16, 3, BIT59],
    [1, 21, 1, BIT59],
    [1, 21, 3, BIT59],
  ])(
    'in slot %i with pages of 2^%i and %i levels start at their slot and lead to memory',
    (slot, shift, levels, first) => {
      const machine = powernv()
      machine.claim()
      const window = machine.window(slot, shift, GIB, levels)
      expect(window.first).toBe(first)
      const bytes = 2 ** shift
      const hpa = machine.page(bytes)
      const last = window.entries - 1
      machine.put(window, last, hpa)
      const iova = first + (BigInt(last) << BigInt(shift)) + BigInt(bytes) - 4n
      expect([machine.write(iova), machine.write(iova)]).toEqual([0, 0])
      expect(machine.byteAt(hpa + bytes - 4)).toBe(0x77)
      expect(audit(machine.host).violations).toEqual([])
    },
  )
  test('a page of 1 GiB is one entry', () => {
    const machine = powernv()
    machine.claim()
    const window = machine.window(1, 30, 1n << 40n)
    machine.put(window, 3, 0)
    expect(machine.write(BIT59 + 3n * GIB + 0x123_4560n)).toBe(0)
    expect(machine.byteAt(0x123_4560)).toBe(0x77)
  })
  test('smaller than a page of entries, a window grows to it', () => {
    const machine = powernv()
    machine.claim()
    expect(machine.window(1, 12, 0x1000n).bytes).toBe(0x20_0000n)
  })
  test.each([
    [{ pageShift: 12, bytes: 3n << 20n, levels: 1 }, 'EINVAL'],
    [{ pageShift: 12, bytes: GIB, levels: 0 }, 'EINVAL'],
    [{ pageShift: 12, bytes: GIB, levels: 5 }, 'EINVAL'],
    [{ pageShift: 12, bytes: 1n << 36n, levels: 1 }, 'ENOMEM'],
    [{ pageShift: 30, bytes: 1n << 56n, levels: 2 }, 'EINVAL'],
    [{ pageShift: 30, bytes: 1n << 54n, levels: 1 }, 'ENOMEM'],
  ])('of a shape without a table are refused: %o', (shape, errno) => {
    const machine = powernv()
    machine.claim()
    expect(refusal(() => machine.windows().create(1, shape))).toBe(errno)
  })
  // VmLck differences of the recordings, in KiB.
  test.each([
    [4096, 12, 0x8000_0000n, 1, 8192],
    [4096, 12, 0x1000n, 1, 8],
    [4096, 12, 0x4000_0000n, 1, 4096],
    [4096, 12, 0x1_0000_0000n, 1, 16384],
    [4096, 16, 0x4000_0000n, 1, 256],
    [4096, 16, 0x8000_0000_0000_0000n, 1, 2199023255552],
  ])(
    'cost what the kernel charges: pages of %i, 2^%i, %i bytes, %i levels',
    (pageSize, pageShift, bytes, levels, kib) => {
      const machine = powernv({}, pageSize)
      expect(machine.windows().tableBytes({ pageShift, bytes, levels })).toBe(BigInt(kib) * 1024n)
    },
  )
  test('of one endpoint can be programmed into another: one table, two windows', () => {
    const machine = powernv()
    machine.claim(machine.first)
    machine.claim(machine.second)
    const window = machine.window(0, 12, GIB)
    machine.windows(machine.second).set(0, window)
    const [old, now] = [machine.page(4096), machine.page(4096)]
    machine.put(window, 1, old)
    expect([machine.write(0x1000n, 1), machine.write(0x1000n, 2, machine.second)]).toEqual([0, 0])
    machine.put(window, 1, now)
    machine.write(0x1000n, 3)
    machine.write(0x1008n, 4, machine.second)
    expect([machine.byteAt(old), machine.byteAt(now), machine.byteAt(now + 8)]).toEqual([2, 3, 4])
    machine.windows().unset(0)
    expect(machine.write(0x1010n, 5, machine.second)).toBe(0)
    expect(audit(machine.host).violations).toEqual([])
  })
})

describe('entries', () => {
  test('tell what stood there', () => {
    const machine = powernv()
    machine.claim()
    const window = machine.window(0, 12, GIB, 2)
    const hpa = machine.page(4096)
    expect([window.exchange(7, hpa, 1), window.exchange(7, 0x5000, 3), window.oldHpa]).toEqual([0, 1, hpa])
    expect([window.lookup(7), window.oldHpa, window.lookup(8)]).toEqual([3, 0x5000, 0])
  })
  test('may be read wherever they may be written', () => {
    const machine = powernv()
    machine.claim()
    const window = machine.window(0, 12, GIB)
    machine.put(window, 0, machine.page(4096), 2)
    expect([window.lookup(0), machine.read(0n)]).toEqual([3, 0])
  })
  test('that forbid writing refuse it', () => {
    const machine = powernv({ personality: 'qemu' })
    machine.claim()
    machine.put(machine.window(0, 12, GIB), 0, machine.page(4096), 1)
    expect([machine.read(0n), machine.write(0n)]).toEqual([0, 9])
  })
  test('whose level cannot be made leave everything as it was', () => {
    const machine = powernv()
    machine.claim()
    const window = machine.window(0, 12, GIB, 3)
    const pages = machine.host.get(Pages)
    const before = pages.allocated
    pages.failAfter = 1
    expect(refusal(() => window.exchange(0, 0x1000, 3))).toBe('ENOMEM')
    expect([pages.allocated, window.lookup(0)]).toEqual([before, 0])
  })
  test('of levels never made are skipped', () => {
    const machine = powernv()
    machine.claim()
    const window = machine.window(0, 12, 1n << 39n, 3)
    const far = 512 * 512 * 3 + 512 * 5 + 9
    window.exchange(far, 0x1000, 3)
    expect(window.nextMade(0)).toBe(far - 9)
    expect(window.nextMade(far - 9 + 512)).toBe(window.entries)
  })
})

describe('the TCE cache', () => {
  test('goes on leading to the old page when a kill is skipped, and the audit names it', () => {
    const machine = powernv()
    machine.claim()
    const window = machine.window(0, 12, GIB)
    const [old, now] = [machine.page(4096), machine.page(4096)]
    machine.put(window, 0, old)
    machine.write(0n, 1)
    window.exchange(0, now, 3)
    machine.write(0n, 2)
    expect([machine.byteAt(old), machine.byteAt(now)]).toEqual([2, 0])
    expect(audit(machine.host).violations[0]).toMatch(/phb0 caches iova 0x0 to 0xfff/)
    window.kill(0, 1)
    machine.write(0n, 3)
    expect([machine.byteAt(old), machine.byteAt(now)]).toEqual([2, 3])
    expect(audit(machine.host).violations).toEqual([])
  })
  test.each([1, 64, 65, 4096])('a kill of %i entries reaches the last of them and no further', (count) => {
    const machine = powernv({ personality: 'qemu' })
    machine.claim()
    const window = machine.window(1, 12, GIB)
    const hpa = machine.page(8192)
    machine.put(window, count - 1, hpa)
    machine.put(window, count, hpa + 4096)
    machine.write(at(count - 1))
    machine.write(at(count))
    window.exchange(count - 1, 0, 0)
    window.exchange(count, 0, 0)
    window.kill(0, count)
    expect([machine.write(at(count - 1)) > 0, machine.write(at(count))]).toEqual([true, 0])
  })
  test('is emptied of an endpoint when a window of it goes', () => {
    const machine = powernv({ personality: 'qemu' })
    machine.claim()
    const window = machine.window(0, 12, GIB)
    machine.put(window, 0, machine.page(4096))
    machine.write(0n)
    machine.windows().unset(0)
    machine.windows().set(0, machine.windows().create(0, { pageShift: 12, bytes: GIB, levels: 1 }))
    expect(machine.write(0n)).toBeGreaterThan(0)
  })
})

test('explains a translation by its table’s entries', () => {
  const machine = powernv()
  machine.claim()
  const window = machine.window(0, 12, GIB, 2)
  const hpa = machine.page(4096)
  machine.put(window, 0x1234, hpa)
  const { request } = machine.first.dma
  request.iovaHi = 0
  request.iovaLo = 0x123_4567
  request.length = 1
  const [unit] = machine.host.all(IommuUnit)
  const told = unit?.explain?.(request)
  expect(told).toMatchObject({ status: 0, hpa: hpa + 0x567, pageBytes: 4096 })
  expect(told?.entries.map((entry) => entry.name)).toEqual(['TCE of level 1', 'TCE'])
  expect(told?.entries[1]?.words).toEqual([BigInt(hpa) | 3n])
})

test('messages go where the bridge takes them', () => {
  const machine = powernv()
  const interrupts = machine.host.get(Interrupts)
  const got: number[] = []
  interrupts.handle(0x45, ({ vector }) => got.push(vector))
  machine.claim()
  expect(machine.first.interrupts.messageAddress).toBe(0xffff_0000n)
  machine.first.dma.sendMsi(0xffff_0000n, 0x45)
  machine.first.dma.sendMsi(0x1000_0000_0000_0000n, 0x45)
  expect(got).toEqual([0x45, 0x45])
})
