import { describe, expect, test } from 'vitest'
import { testBus, type TestBus } from './pci-models.test-kit.ts'
import type { PciFunction } from './function.ts'
import { type GroupReason, groupingOf, groupReasonText } from './grouping.ts'

/** Groups all functions in bus order: names without segment, by group number. */
function groups({ pci }: TestBus, first: readonly PciFunction[] = []): string[][] {
  const of = new Map<PciFunction, number>()
  const members: string[][] = []
  for (const fn of [...first, ...pci.functions.filter((one) => !first.includes(one))]) {
    const { join } = groupingOf(fn, pci, (other) => of.has(other))
    const group = join ? (of.get(join) as number) : members.push([]) - 1
    of.set(fn, group)
    members[group]?.push(fn.name.slice(5))
  }
  return members
}
const reasonsOf = (bus: TestBus, fn: PciFunction, grouped: readonly PciFunction[]): readonly GroupReason[] =>
  groupingOf(fn, bus.pci, (other) => grouped.includes(other)).reasons

const ACS: readonly [number, number] = [0x1d, 0x1d]

describe('groups', () => {
  test('functions of a root bus are apart; functions of one slot without ACS are together', () => {
    const bus = testBus()
    bus.put(0, 1, 0)
    bus.put(0, 2, 0, { multifunction: true })
    bus.put(0, 2, 1)
    bus.put(0, 3, 0)
    expect(groups(bus)).toEqual([['00:01.0'], ['00:02.0', '00:02.1'], ['00:03.0']])
  })
  test('functions of one slot with ACS are apart', () => {
    const bus = testBus()
    bus.put(0, 2, 0, { port: 9, multifunction: true, acs: ACS })
    bus.put(0, 2, 1, { port: 9, acs: ACS })
    expect(groups(bus)).toEqual([['00:02.0'], ['00:02.1']])
  })
  test('an isolated function does not join two others of its slot that are not', () => {
    const bus = testBus()
    bus.put(0, 2, 0, { port: 9, multifunction: true })
    bus.put(0, 2, 1, { port: 9, acs: ACS })
    bus.put(0, 2, 2, { port: 9 })
    expect(groups(bus)).toEqual([['00:02.0', '00:02.2'], ['00:02.1']])
  })
  test('everything behind a PCIe-to-PCI bridge joins the bridge, and not the port above', () => {
    const bus = testBus()
    bus.put(0, 5, 0, { port: 4, bridge: [3, 4], acs: ACS })
    bus.put(3, 0, 0, { port: 7, bridge: [4, 4] })
    bus.put(4, 1, 0)
    bus.put(4, 2, 0)
    expect(groups(bus)).toEqual([['00:05.0'], ['03:00.0', '04:01.0', '04:02.0']])
  })
  test('a root port without ACS takes what stands behind it', () => {
    const bus = testBus()
    bus.put(0, 1, 0, { port: 4, bridge: [1, 1] })
    bus.put(1, 0, 0, { port: 0 })
    expect(groups(bus)).toEqual([['00:01.0', '01:00.0']])
  })
  test('a switch whose downstream ports lack ACS is one group, below an isolating root port', () => {
    const bus = testBus()
    bus.put(0, 1, 0, { port: 4, bridge: [1, 4], acs: ACS })
    bus.put(1, 0, 0, { port: 5, bridge: [2, 4] })
    bus.put(2, 0, 0, { port: 6, bridge: [3, 3] })
    bus.put(2, 1, 0, { port: 6, bridge: [4, 4], acs: ACS })
    bus.put(3, 0, 0, { port: 0 })
    bus.put(4, 0, 0, { port: 0 })
    expect(groups(bus)).toEqual([['00:01.0'], ['01:00.0'], ['02:00.0', '03:00.0'], ['02:01.0'], ['04:00.0']])
  })
  test('functions that share an id by a quirk are together, also over a slot that is not isolated', () => {
    const bus = testBus()
    bus.pci.addQuirk({ name: 'uses 00:03.0', dmaAliases: (fn) => (fn.bdf === 0x10 ? [0x18] : undefined) })
    bus.put(0, 2, 0)
    bus.put(0, 3, 0, { multifunction: true })
    bus.put(0, 3, 1)
    expect(groups(bus)).toEqual([['00:02.0', '00:03.0', '00:03.1']])
  })
  test('functions that alias each other without any group end the search', () => {
    const bus = testBus()
    bus.pci.addQuirk({ name: 'each other', dmaAliases: () => [0x10, 0x18] })
    const fn = bus.put(0, 2, 0)
    bus.put(0, 3, 0)
    expect(groupingOf(fn, bus.pci, () => false).join).toBeUndefined()
  })
  test('a function that comes late joins the group of its slot', () => {
    const bus = testBus()
    bus.put(0, 2, 0, { multifunction: true })
    const late = bus.put(0, 2, 1)
    expect(groups(bus, [late])).toEqual([['00:02.1', '00:02.0']])
  })
})

describe('reasons', () => {
  test('tell of the bridge that takes requests over', () => {
    const bus = testBus()
    const bridge = bus.put(0, 5, 0, { port: 7, bridge: [4, 4] })
    const fn = bus.put(4, 1, 0)
    expect(reasonsOf(bus, fn, [bridge])).toEqual([{ kind: 'alias', about: bridge, requester: 0x400, joined: true }])
    expect(reasonsOf(bus, fn, [bridge]).map(groupReasonText)).toEqual([
      'its requests reach the IOMMU as 04:00.0, the id of 0000:00:05.0, whose group it joins',
    ])
  })
  test('tell of the port that does not isolate', () => {
    const bus = testBus()
    const port = bus.put(0, 1, 0, { port: 4, bridge: [1, 1], acs: [0x1d, 0] })
    const fn = bus.put(1, 0, 0, { port: 0 })
    expect(reasonsOf(bus, fn, [port]).map(groupReasonText)).toEqual([
      'peers behind 0000:00:01.0 are not kept apart: 0000:00:01.0 has ACS SV RR CR UF switched off; it joins the group of 0000:00:01.0',
    ])
  })
  test('tell of what keeps functions apart', () => {
    const bus = testBus()
    bus.put(0, 1, 0, { port: 4, bridge: [1, 1], acs: ACS })
    const fn = bus.put(1, 0, 0, { port: 0, multifunction: true, acs: ACS })
    expect(reasonsOf(bus, fn, []).map(groupReasonText)).toEqual([
      '0000:00:01.0 and all above it send everything upstream (ACS SV RR CR UF as far as they have them)',
      'its slot has several functions, and 0000:01:00.0 has its ACS switched on',
    ])
  })
  test('tell of a slot that is shared', () => {
    const bus = testBus()
    const zero = bus.put(0, 2, 0, { multifunction: true })
    const one = bus.put(0, 2, 1)
    expect(reasonsOf(bus, one, [zero]).map(groupReasonText)).toEqual([
      '0000:00:02.1 stands on a root bus',
      '0000:00:02.1 shares a slot with 0000:00:02.0, and they are not kept apart: 0000:00:02.1 is conventional PCI; it joins the group of 0000:00:02.0',
    ])
  })
})
