import { describe, expect, test } from 'vitest'
import { testBus, type TestBus } from '../pci/pci-models.test-kit.ts'
import { UapiError } from '../errno.ts'
import type { PciFunction } from '../pci/function.ts'
import { DriverCore, type PciDriver } from './binding.ts'
import { Completion, REMOVED, type Removal } from './completion.ts'

interface Bench extends TestBus {
  readonly drivers: DriverCore
  /** Functions whose drivers use the DMA API. */
  readonly using: Set<PciFunction>
  /** Functions whose group belongs to user space. */
  readonly owned: Set<PciFunction>
}
function bench(): Bench {
  const bus = testBus()
  const using = new Set<PciFunction>()
  const owned = new Set<PciFunction>()
  const drivers = new DriverCore(bus.pci, {
    use: (fn) => {
      if (owned.has(fn)) throw new UapiError('EBUSY', 'use')
      using.add(fn)
    },
    unuse: (fn) => using.delete(fn),
  })
  return { ...bus, drivers, using, owned }
}
const driver = (name: string, more: Partial<PciDriver> = {}): PciDriver => ({
  name,
  ids: [{ vendor: 0x1234 }],
  probe: () => undefined,
  remove: (): Removal => REMOVED,
  ...more,
})
const outOfMemory = (): never => {
  throw new UapiError('ENOMEM', 'probe')
}
const errno = (run: () => unknown): string => {
  try {
    run()
  } catch (error) {
    if (error instanceof UapiError) return error.errno
  }
  return 'none'
}

describe('probing at boot', () => {
  test('functions get the first driver that matches and takes them', () => {
    const { drivers, put } = bench()
    const fn = put(0, 1, 0)
    drivers.register(driver('other', { ids: [{ vendor: 0x8086 }] }))
    drivers.register(
      driver('fails', {
        probe: () => {
          throw new UapiError('EIO', 'probe')
        },
      }),
    )
    drivers.register(driver('works'))
    expect(drivers.driverOf(fn)).toBeUndefined()
    drivers.start()
    expect(drivers.driverOf(fn)?.name).toBe('works')
  })
  test('later functions and later drivers are tried at once', () => {
    const { drivers, put } = bench()
    drivers.start()
    const before = put(0, 1, 0)
    drivers.register(driver('edu'))
    const after = put(0, 2, 0)
    expect([before, after].map((fn) => drivers.driverOf(fn)?.name)).toEqual(['edu', 'edu'])
  })
  test('without autoprobe nothing binds by itself', () => {
    const { drivers, put } = bench()
    drivers.autoprobe = false
    drivers.register(driver('edu'))
    const fn = put(0, 1, 0)
    drivers.start()
    expect(drivers.driverOf(fn)).toBeUndefined()
    expect(drivers.attach(fn)?.name).toBe('edu')
  })
})

describe('driver_override', () => {
  test('binds a driver whose ids do not match, and that one alone', () => {
    const { drivers, put } = bench()
    const fn = put(0, 1, 0)
    drivers.register(driver('edu'))
    drivers.register(driver('vfio-pci', { ids: [{ overrideOnly: true }] }))
    expect(errno(() => drivers.bind('vfio-pci', fn))).toBe('ENODEV')
    drivers.setOverride(fn, 'vfio-pci')
    expect(errno(() => drivers.bind('edu', fn))).toBe('ENODEV')
    expect(drivers.attach(fn)?.name).toBe('vfio-pci')
  })
  test('an empty one lets ids decide again', () => {
    const { drivers, put } = bench()
    const fn = put(0, 1, 0)
    drivers.register(driver('edu'))
    drivers.setOverride(fn, 'vfio-pci')
    drivers.setOverride(fn, '')
    expect([drivers.overrideOf(fn), drivers.attach(fn)?.name]).toEqual([undefined, 'edu'])
  })
})

describe('new_id', () => {
  test('adds an id and binds what it matches; the same id twice is refused', () => {
    const { drivers, put } = bench()
    const fn = put(0, 1, 0)
    drivers.start()
    drivers.register(driver('pci-stub', { ids: [] }))
    drivers.addId('pci-stub', { vendor: 0x1234, device: 0x11e8 })
    expect(drivers.driverOf(fn)?.name).toBe('pci-stub')
    expect(errno(() => drivers.addId('pci-stub', { vendor: 0x1234, device: 0x11e8 }))).toBe('EEXIST')
    drivers.removeId('pci-stub', { vendor: 0x1234, device: 0x11e8 })
    expect(errno(() => drivers.removeId('pci-stub', { vendor: 0x1234, device: 0x11e8 }))).toBe('ENODEV')
  })
})

describe('bind and unbind', () => {
  test('refusals', () => {
    const { drivers, put } = bench()
    const fn = put(0, 1, 0)
    drivers.register(driver('edu'))
    drivers.register(driver('other'))
    expect(errno(() => drivers.bind('nobody', fn))).toBe('ENOENT')
    expect(errno(() => drivers.unbind('edu', fn))).toBe('ENODEV')
    drivers.bind('edu', fn)
    expect(errno(() => drivers.bind('other', fn))).toBe('EBUSY')
    expect(errno(() => drivers.unbind('other', fn))).toBe('ENODEV')
    expect(errno(() => drivers.register(driver('edu')))).toBe('EBUSY')
  })
  test('a probe that fails leaves the function free and says why', () => {
    const { drivers, put, using } = bench()
    const fn = put(0, 1, 0)
    drivers.register(driver('edu', { probe: outOfMemory }))
    expect(errno(() => drivers.bind('edu', fn))).toBe('ENOMEM')
    expect([drivers.driverOf(fn), using.size, drivers.probeError(fn)?.errno]).toEqual([undefined, 0, 'ENOMEM'])
  })
  test('a removal may stay pending: the function stays bound until it is done', () => {
    const { drivers, put, using } = bench()
    const fn = put(0, 1, 0)
    const closed = new Completion()
    drivers.register(driver('edu', { remove: () => closed }))
    drivers.bind('edu', fn)
    const removal = drivers.unbind('edu', fn)
    expect([removal.done, drivers.driverOf(fn)?.name, using.has(fn)]).toEqual([false, 'edu', true])
    expect(drivers.unbind('edu', fn)).toBe(removal)
    closed.finish()
    expect([removal.done, drivers.driverOf(fn), using.has(fn)]).toEqual([true, undefined, false])
  })
})

describe('the DMA API', () => {
  test('a driver that uses it does not bind while the group belongs to user space', () => {
    const { drivers, put, owned } = bench()
    const fn = put(0, 1, 0)
    owned.add(fn)
    drivers.register(driver('edu'))
    expect(errno(() => drivers.bind('edu', fn))).toBe('EBUSY')
  })
  test('a driver that manages DMA itself claims nothing', () => {
    const { drivers, put, owned, using } = bench()
    const fn = put(0, 1, 0)
    owned.add(fn)
    drivers.register(driver('vfio-pci', { managesDma: true }))
    drivers.bind('vfio-pci', fn)
    expect([drivers.driverOf(fn)?.name, using.size]).toEqual(['vfio-pci', 0])
  })
})

describe('unplugging', () => {
  test('waits for the drivers of everything behind, then takes it off the bus', () => {
    const { drivers, put, pci } = bench()
    const bridge = put(0, 1, 0, { port: 4, bridge: [1, 1] })
    const fn = put(1, 0, 0, { port: 0 })
    const closed = new Completion()
    drivers.register(driver('edu', { remove: (one) => (one === fn ? closed : REMOVED) }))
    drivers.bind('edu', bridge)
    drivers.bind('edu', fn)
    const removal = drivers.unplug(bridge)
    expect([removal.done, pci.functions.length]).toEqual([false, 2])
    closed.finish()
    expect([removal.done, pci.functions.length]).toEqual([true, 0])
  })
  test('a function that vanishes is taken from its driver', () => {
    const { drivers, put, pci, using } = bench()
    const fn = put(0, 1, 0)
    const removed: string[] = []
    drivers.register(
      driver('edu', {
        remove: (one) => {
          removed.push(`${one.name} ${one.present}`)
          return REMOVED
        },
      }),
    )
    drivers.bind('edu', fn)
    pci.remove(fn)
    expect([removed, using.size, drivers.driverOf(fn)]).toEqual([['0000:00:01.0 false'], 0, undefined])
  })
  test('unregistering a driver unbinds it everywhere', () => {
    const { drivers, put } = bench()
    put(0, 1, 0)
    put(0, 2, 0)
    drivers.register(driver('edu'))
    drivers.start()
    expect(drivers.boundTo('edu')).toHaveLength(2)
    expect(drivers.unregister('edu').done).toBe(true)
    expect([drivers.boundTo('edu'), drivers.drivers]).toEqual([[], []])
  })
})
