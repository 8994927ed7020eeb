import { IommuGroups, Sysfs } from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { audit } from '@ioasis/testkit'
import { POWER_MACHINES, powerHost, powernvHost, pseriesHost } from './power-machines.ts'

const groupsOf = (name: string): unknown =>
  powerHost(name)
    .get(IommuGroups)
    .groups.map((g) => [g.id, g.name, g.defaultDomainType, g.members.map((m) => m.name).join(' ')])

const POWERNV = [
  [0, 'domain0-pe1fd', 'unknown', '0000:01:00.0'],
  [1, 'domain1-pefd', 'unknown', '0001:01:00.0'],
  [2, 'domain2-pe0', 'unknown', '0002:02:01.0 0002:02:02.0'],
]
const PSERIES = [
  [0, 'domain0-pe0', 'unknown', '0000:00:01.0'],
  [1, 'domain1-pe0', 'unknown', '0001:00:01.0'],
  [2, 'domain2-pe0', 'unknown', '0002:00:01.0 0002:01:01.0 0002:01:02.0'],
]

describe('groups', () => {
  test.each([
    ['powernv10', POWERNV],
    ['powernv10-64k', POWERNV],
    ['pseries', PSERIES],
    ['pseries-64k', PSERIES],
    ['pseries-hcall', PSERIES],
  ])('of %s are the recorded endpoints', (name, groups) => {
    expect(groupsOf(name)).toEqual(groups)
  })
  test('have their endpoint as a name in sysfs', () => {
    const sysfs = powernvHost().get(Sysfs)
    expect(sysfs.read('/sys/kernel/iommu_groups/1/name')).toBe('domain1-pefd\n')
  })
})

test('the type of a group cannot be changed: there are windows, and no domains', () => {
  const group = powernvHost().get(IommuGroups).containing('0001:01:00.0')
  expect(() => group.setDefaultType('identity')).toThrow(/EINVAL/)
})

test.each([['powernv', powernvHost] as const, ['pseries', pseriesHost] as const])(
  '%s is sound once booted, and gives all memory back',
  (_, make) => {
    using host = make()
    expect(audit(host).violations).toEqual([])
  },
)

test('a name that is none is refused with the names there are', () => {
  expect(() => powerHost('powernv11')).toThrow(/powernv11.*pseries-hcall/)
  expect(POWER_MACHINES).toHaveLength(5)
})
