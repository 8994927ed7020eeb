import { describe, expect, test } from 'vitest'
import { DriverCore } from '../driver/binding.ts'
import { REMOVED } from '../driver/completion.ts'
import type { PciFunction } from './function.ts'
import { groupingOf } from './grouping.ts'
import { load32, testBus } from './pci-models.test-kit.ts'
import { physical, type PhysicalOptions, SRIOV_AT, VF_BAR0 } from './sriov.test-kit.ts'

function bench(options: PhysicalOptions = {}) {
  const bus = testBus()
  const fn = physical(bus, options)
  const { sriov } = fn
  if (!sriov) throw new Error('no SR-IOV')
  const unplug = (virtfn: PciFunction) => {
    bus.pci.remove(virtfn)
    return REMOVED
  }
  return { ...bus, fn, sriov, unplug }
}

describe('virtual functions', () => {
  test('appear where offset and stride say, with ids that only the kernel knows', () => {
    const { pci, sriov, fn } = bench()
    sriov.enable(2)
    expect(pci.functions.slice(1).map(({ name }) => name)).toEqual(['0000:01:00.0', '0000:01:10.0', '0000:01:10.2'])
    const vf = pci.get('01:10.2')
    expect([vf.virtfn?.physfn, vf.virtfn?.index, vf.readConfig(0, 4)]).toEqual([fn, 1, 0xffff_ffff])
    expect([sriov.numVfs, fn.readConfig(SRIOV_AT + 0x10, 2), fn.readConfig(SRIOV_AT + 8, 2)]).toEqual([2, 2, 9])
  })
  test('their BARs follow one another from the VF BAR, and need no Memory Enable of their own', () => {
    const { memory, sriov, pci } = bench()
    sriov.enable(3)
    expect([0, 1, 2].map((i) => load32(memory, VF_BAR0 + i * 0x4000))).toEqual([0x1000, 0x1001, 0x1002])
    const vf = pci.get('01:10.2')
    vf.writeConfig(0x10, 4, 0xffff_ffff)
    vf.writeConfig(0x04, 2, 0xffff)
    expect([vf.readConfig(0x10, 4), vf.readConfig(0x04, 2), vf.barRegister(0)]).toEqual([0, 4, VF_BAR0 + 0x4000])
  })
  test('fall silent when software takes VF Enable back, and when the physical function is reset', () => {
    const { memory, sriov, fn, pci } = bench()
    sriov.enable(1)
    const vf = pci.get('01:10.0')
    vf.writeConfig(0x04, 2, 4)
    fn.writeConfig(SRIOV_AT + 8, 2, 0)
    expect([vf.readConfig(0x04, 2), load32(memory, VF_BAR0)]).toEqual([0xffff, undefined])
    fn.writeConfig(SRIOV_AT + 8, 2, 9)
    expect([vf.readConfig(0x04, 2), load32(memory, VF_BAR0)]).toEqual([0, 0x1000])
    sriov.remember()
    fn.reset('flr')
    expect(vf.readConfig(0x04, 2)).toBe(0xffff)
    sriov.restore()
    expect([vf.readConfig(0x04, 2), load32(memory, VF_BAR0)]).toEqual([0, 0x1000])
  })
  test('are never of one slot with others: each is a group behind a port that isolates', () => {
    const { sriov, pci } = bench()
    sriov.enable(2)
    const [a, b] = sriov.virtfns as [PciFunction, PciFunction]
    expect(groupingOf(b, pci, (fn) => fn === a).join).toBeUndefined()
  })
  test('go with their physical function', () => {
    const { sriov, pci, fn } = bench()
    sriov.enable(2)
    pci.remove(fn)
    expect(pci.functions.map(({ name }) => name)).toEqual(['0000:00:03.0'])
  })
})

describe('switching on', () => {
  test.each<[string, PhysicalOptions, number, string]>([
    ['more than there are', {}, 9, 'EINVAL'],
    ['when the hardware offers fewer at first', { initial: 4 }, 1, 'EIO'],
    ['without addresses', { base: 0 }, 1, 'ENOMEM'],
    ['beyond the bridge’s buses', { offset: 0x100 }, 1, 'ENOMEM'],
    ['when it depends on who is not there', { link: 8 }, 1, 'ENODEV'],
    ['where nothing answers', { silent: true }, 1, 'ENOMEM EIO'],
  ])('is refused %s', (_what, options, count, errno) => {
    const { sriov, fn } = bench(options)
    let code = ''
    try {
      sriov.enable(count)
    } catch (error) {
      code = (error as { errno: string }).errno
    }
    expect(errno.split(' ')).toContain(code)
    expect([sriov.numVfs, fn.readConfig(SRIOV_AT + 8, 2) & 1]).toEqual([0, 0])
  })
  test('leaves nothing when a place is taken', () => {
    const { sriov, put, pci } = bench()
    put(1, 0x10, 2)
    expect(() => sriov.enable(2)).toThrow('stands there already')
    expect([sriov.virtfns, sriov.numVfs, pci.functions.length]).toEqual([[], 0, 3])
  })
  test('twice is refused; switching off takes them away, the first one first', () => {
    const { sriov, pci, unplug } = bench()
    sriov.enable(2)
    expect(() => sriov.enable(1)).toThrow('EINVAL')
    const gone: string[] = []
    pci.onRemoved(({ name }) => gone.push(name))
    expect(sriov.disable(unplug).done).toBe(true)
    expect([gone, sriov.numVfs, pci.functions.length]).toEqual([['0000:01:10.0', '0000:01:10.2'], 0, 2])
  })
})

test('drivers are tried with each as it appears, unless that is switched off', () => {
  const { pci, sriov, unplug } = bench()
  const drivers = new DriverCore(pci, { use: () => {}, unuse: () => {} })
  const taken: string[] = []
  drivers.register({
    name: 'igbvf',
    ids: [{ vendor: 0x1234, device: 0x10ca }],
    probe: ({ name }) => void taken.push(name),
    remove: () => REMOVED,
  })
  drivers.start()
  sriov.enable(1)
  expect(taken).toEqual(['0000:01:10.0'])
  sriov.disable((fn) => drivers.unplug(fn))
  sriov.driversAutoprobe = false
  sriov.enable(1)
  expect(() => drivers.bind('igbvf', pci.get('01:10.0'))).toThrow('ENODEV')
  drivers.setOverride(pci.get('01:10.0'), 'igbvf')
  drivers.bind('igbvf', pci.get('01:10.0'))
  expect(taken.length).toBe(2)
  expect(unplug).toBeDefined()
})
