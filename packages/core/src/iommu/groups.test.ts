import { describe, expect, test } from 'vitest'
import { UapiError } from '../errno.ts'
import type { PciFunction } from '../pci/function.ts'
import { testBus, type TestBus } from '../pci/pci-models.test-kit.ts'
import type { Domain } from './domain.ts'
import type { AttachResult, IommuDevice, IommuDriver } from './driver.ts'
import { GroupRegistry } from './groups.ts'

const DEFAULT: Domain = { type: 'identity' }
const BLOCKED: Domain = { type: 'blocked' }

/** A driver that covers what it is told to, and whose devices attach as they are told to. */
class FakeDriver implements IommuDriver {
  readonly name: string
  readonly covers: (fn: PciFunction) => boolean
  readonly log: string[] = []
  /** What attaching answers for functions by their place; a string is an errno. */
  readonly answers = new Map<string, AttachResult | 'ENOMEM'>()

  constructor(name: string, covers: (fn: PciFunction) => boolean = () => true) {
    this.name = name
    this.covers = covers
  }
  probe(fn: PciFunction): IommuDevice | undefined {
    if (!this.covers(fn)) return undefined
    const place = fn.name.slice(5)
    this.log.push(`probe ${place}`)
    return {
      fn,
      driver: this,
      caps: { cacheCoherent: true, enforcesCoherency: false, isolatedMsi: false, pasidBits: 0 },
      requesterIds: [fn.requester],
      reserved: [],
      defaultDomain: DEFAULT,
      blocked: BLOCKED,
      attach: () => {
        const answer = this.answers.get(place) ?? 'ok'
        if (answer === 'ENOMEM') throw new UapiError('ENOMEM', 'attach')
        return answer
      },
      release: () => this.log.push(`release ${place}`),
    }
  }
}

/** Groups as lists of places, by number. */
const listed = (registry: GroupRegistry): Record<number, string[]> =>
  Object.fromEntries(registry.groups.map((g) => [g.id, g.members.map((fn) => fn.name.slice(5))]))

function started(bus: TestBus, ...drivers: IommuDriver[]): GroupRegistry {
  const registry = new GroupRegistry(bus.pci)
  registry.start(drivers)
  return registry
}

describe('at boot', () => {
  test('functions are probed in bus order and numbered by it, not in the order they were placed', () => {
    const bus = testBus()
    bus.put(0, 3, 0)
    bus.put(0, 1, 0, { multifunction: true })
    bus.put(0, 1, 1)
    const driver = new FakeDriver('one')
    expect(listed(started(bus, driver))).toEqual({ 0: ['00:01.0', '00:01.1'], 1: ['00:03.0'] })
    expect(driver.log).toEqual(['probe 00:01.0', 'probe 00:01.1', 'probe 00:03.0'])
  })
  test('the first driver that covers a function has it; one that nobody covers is in no group', () => {
    const bus = testBus()
    const [a, b, c] = [bus.put(0, 1, 0), bus.put(0, 2, 0), bus.put(0, 3, 0)]
    const one = new FakeDriver('one', (fn) => fn === a)
    const two = new FakeDriver('two', (fn) => fn !== c)
    const registry = started(bus, one, two)
    expect([registry.deviceOf(a)?.driver, registry.deviceOf(b)?.driver]).toEqual([one, two])
    expect([registry.of(c), registry.deviceOf(c), registry.probeError(c)]).toEqual([undefined, undefined, undefined])
    expect(() => registry.containing('00:03.0')).toThrow('00:03.0 is in no group: no IOMMU covers it')
    expect(registry.containing('00:02.0')).toBe(registry.of(b))
  })
  test('a group remembers why each member is in it', () => {
    const bus = testBus()
    bus.put(0, 1, 0, { multifunction: true })
    const fn = bus.put(0, 1, 1)
    const { reasons } = started(bus, new FakeDriver('one')).of(fn) as NonNullable<ReturnType<GroupRegistry['of']>>
    expect(reasons.map((r) => r.because.at(-1)?.kind)).toEqual(['sameSlot', 'sameSlot'])
  })
})

describe('functions that come and go', () => {
  test('one that is added joins its group or starts one with the lowest free number', () => {
    const bus = testBus()
    bus.put(0, 1, 0, { multifunction: true })
    const gone = bus.put(0, 2, 0)
    bus.put(0, 3, 0)
    const driver = new FakeDriver('one')
    const registry = started(bus, driver)
    bus.pci.remove(gone)
    expect(driver.log.at(-1)).toBe('release 00:02.0')
    expect(listed(registry)).toEqual({ 0: ['00:01.0'], 2: ['00:03.0'] })
    bus.put(0, 9, 0)
    bus.put(0, 1, 1)
    expect(listed(registry)).toEqual({ 0: ['00:01.0', '00:01.1'], 1: ['00:09.0'], 2: ['00:03.0'] })
  })
  test('a group ends with its last member', () => {
    const bus = testBus()
    const [a, b] = [bus.put(0, 1, 0, { multifunction: true }), bus.put(0, 1, 1)]
    const registry = started(bus, new FakeDriver('one'))
    bus.pci.remove(a)
    expect(listed(registry)).toEqual({ 0: ['00:01.1'] })
    bus.pci.remove(b)
    expect(listed(registry)).toEqual({})
    expect(registry.claims()).toEqual([{ kind: 'count', what: 'groups without members', actual: 0, expected: 0 }])
  })
  test('one that stands where another stood is another function', () => {
    const bus = testBus()
    const old = bus.put(0, 1, 0)
    const registry = started(bus, new FakeDriver('one'))
    bus.pci.remove(old)
    const now = bus.put(0, 1, 0)
    expect(registry.of(old)).toBeUndefined()
    expect(registry.of(now)?.members).toEqual([now])
  })
  test('closing releases all, the last one first', () => {
    const bus = testBus()
    bus.put(0, 1, 0)
    bus.put(0, 2, 0)
    const driver = new FakeDriver('one')
    const registry = started(bus, driver)
    registry.close()
    expect(driver.log.slice(2)).toEqual(['release 00:02.0', 'release 00:01.0'])
    expect(registry.groups).toEqual([])
  })
})

describe('a function that cannot join', () => {
  test('because its unit cannot use the domain of the group, is released and tells why', () => {
    const bus = testBus()
    const first = bus.put(0, 1, 0, { multifunction: true })
    const driver = new FakeDriver('one')
    driver.answers.set('00:01.1', 'incompatible')
    const registry = started(bus, driver)
    const late = bus.put(0, 1, 1)
    expect(listed(registry)).toEqual({ 0: ['00:01.0'] })
    expect(registry.probeError(late)).toMatchObject({ errno: 'EINVAL' })
    expect([registry.of(late), registry.deviceOf(late), registry.probeError(first)]).toEqual([
      undefined,
      undefined,
      undefined,
    ])
    expect(driver.log.at(-1)).toBe('release 00:01.1')
  })
  test('because there is no memory, leaves no group behind: the next function has its number', () => {
    const bus = testBus()
    const driver = new FakeDriver('one')
    driver.answers.set('00:01.0', 'ENOMEM')
    const registry = started(bus, driver)
    const poor = bus.put(0, 1, 0)
    expect(registry.probeError(poor)).toMatchObject({ errno: 'ENOMEM' })
    expect(listed(registry)).toEqual({})
    bus.put(0, 2, 0)
    expect(listed(registry)).toEqual({ 0: ['00:02.0'] })
  })
  test('may go, and the rest of its slot stays', () => {
    const bus = testBus()
    bus.put(0, 1, 0, { multifunction: true })
    const driver = new FakeDriver('one')
    driver.answers.set('00:01.1', 'incompatible')
    const registry = started(bus, driver)
    bus.pci.remove(bus.put(0, 1, 1))
    expect(listed(registry)).toEqual({ 0: ['00:01.0'] })
    expect(driver.log.filter((line) => line === 'release 00:01.1')).toHaveLength(1)
  })
})

test('drivers that use the DMA API keep owners out of the whole group; a function without IOMMU has nobody to ask', () => {
  const bus = testBus()
  const a = bus.put(0, 1, 0, { multifunction: true })
  const b = bus.put(0, 1, 1)
  const alone = bus.put(0, 2, 0)
  const registry = started(bus, new FakeDriver('one', (fn) => fn !== alone))
  registry.use(alone)
  registry.use(a)
  expect(() => registry.of(b)?.claim({}, true)).toThrow('EPERM')
  registry.unuse(a)
  registry.of(b)?.claim({}, true)
  expect(() => registry.use(a)).toThrow('EBUSY')
})

test('a number taken for a group without an IOMMU is passed over until it is given back', () => {
  const bus = testBus()
  bus.put(0, 1, 0)
  const registry = started(bus, new FakeDriver('iommu'))
  expect([registry.takeNumber(), registry.takeNumber()]).toEqual([1, 2])
  registry.giveNumber(1)
  bus.put(0, 2, 0)
  bus.put(0, 3, 0)
  expect(Object.keys(listed(registry))).toEqual(['0', '1', '3'])
  expect(registry.takeNumber()).toBe(4)
})

test('a device of another bus has a group of its own, and takes it along when it goes', () => {
  const bus = testBus()
  const fn = bus.put(0, 1, 0)
  const driver = new FakeDriver('iommu')
  const registry = started(bus, driver)
  const device = { ...(driver.probe(fn) as IommuDevice), fn: undefined, name: 'mock0' }
  const group = registry.addDevice(device)
  expect([
    group.id,
    group.members,
    registry.groupOf(device),
    registry.groupOf(group.devices[0] as IommuDevice),
  ]).toEqual([1, [], group, group])
  group.claim({}, true)
  registry.removeDevice(device)
  expect([registry.groups.map((g) => g.id), registry.groupOf(device)]).toEqual([[0], undefined])
  expect(() => registry.removeDevice(device)).toThrow('not there')
})
test('a device of another bus that cannot be attached leaves no group', () => {
  const bus = testBus()
  const driver = new FakeDriver('iommu')
  driver.answers.set('00:01.0', 'ENOMEM')
  const registry = started(bus, driver)
  const device = { ...(driver.probe(bus.put(0, 1, 0)) as IommuDevice), fn: undefined }
  expect(() => registry.addDevice(device)).toThrow('ENOMEM')
  expect(registry.groups).toEqual([])
})
