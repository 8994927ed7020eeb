import { describe, expect, test } from 'vitest'
import { UapiError } from '../errno.ts'
import type { PciFunction } from '../pci/function.ts'
import { createHost } from '../plugin/host.ts'
import { Processes } from '../process/process.ts'
import { SysfsTree } from '../sysfs.ts'
import type { Domain, PagingDomain } from './domain.ts'
import type { IommuDevice, ReservedRegion } from './driver.ts'
import { Group } from './group.ts'
import { GroupSysfs, reservedText } from './group-sysfs.ts'

const region = (type: ReservedRegion['type'], first: bigint, last: bigint): ReservedRegion => ({
  type,
  first,
  last,
  read: true,
  write: true,
})
const IDENTITY: Domain = { type: 'identity' }
const BLOCKED: Domain = { type: 'blocked' }

interface Bench {
  readonly group: Group
  readonly sysfs: SysfsTree
  readonly attached: string[]
  readonly type: () => string
  /** Writes `type`. @returns the errno, or what it reads afterwards */
  readonly write: (text: string) => string
}
function bench(options: { readonly identity?: boolean; readonly boot?: Domain } = {}): Bench {
  const attached: string[] = []
  const made = (): PagingDomain =>
    ({ type: 'paging', pageSizes: 4096n, free: () => attached.push('free') }) as unknown as PagingDomain
  const boot = options.boot ?? made()
  const fn = { name: '0000:00:01.0', segment: 0, bdf: 8, parent: undefined } as unknown as PciFunction
  const device = {
    fn,
    reserved: [region('msi', 0xfee0_0000n, 0xfeef_ffffn)],
    defaultDomain: boot,
    blocked: BLOCKED,
    ...(options.identity !== false && { identity: IDENTITY }),
    paging: { alloc: made },
    attach: (domain: Domain) => (attached.push(domain.type), 'ok'),
    release: () => {},
  } as unknown as IommuDevice
  const sysfs = new SysfsTree()
  const listener = new GroupSysfs(sysfs)
  const group = new Group(4)
  listener.made(group)
  group.add(device, [])
  listener.joined(group, fn)
  attached.length = 0
  const type = (): string => sysfs.read('/sys/kernel/iommu_groups/4/type')
  const write = (text: string): string => {
    try {
      sysfs.write('/sys/kernel/iommu_groups/4/type', text)
      return type()
    } catch (error) {
      return (error as UapiError).errno
    }
  }
  return { group, sysfs, attached, type, write }
}

describe('a group in sysfs', () => {
  test('links to its members, and they to it', () => {
    const { sysfs } = bench()
    expect(sysfs.readLink('/sys/devices/pci0000:00/0000:00:01.0/iommu_group')).toBe('../../../kernel/iommu_groups/4')
    expect(sysfs.list('/sys/kernel/iommu_groups/4')).toEqual(['devices', 'reserved_regions', 'type'])
  })
  test('prints its reserved regions as Linux does', () => {
    expect(bench().sysfs.read('/sys/kernel/iommu_groups/4/reserved_regions')).toBe(
      '0x00000000fee00000 0x00000000feefffff msi\n',
    )
  })
  test('merges regions of one type that touch, and sorts by start, then type', () => {
    const regions = [
      region('msi', 0x9000n, 0x9fffn),
      region('reserved', 0x3000n, 0x3fffn),
      region('relaxable', 0x2000n, 0x2fffn),
      region('reserved', 0x1000n, 0x2fffn),
      region('direct', 0x1000n, 0x1fffn),
      region('software-msi', 0xa000n, 0xafffn),
    ]
    expect(
      reservedText(regions)
        .split('\n')
        .map((line) => line.replaceAll('0x000000000000', '')),
    ).toEqual([
      '1000 1fff direct',
      '1000 3fff reserved',
      '2000 2fff direct-relaxable',
      '9000 9fff msi',
      'a000 afff msi',
      '',
    ])
  })
})

describe('writing a group’s type', () => {
  test('moves its members to a domain of that kind and back', () => {
    const { write, type, attached } = bench()
    expect([type(), write('identity\n'), write('DMA'), write('DMA-FQ\n'), write('identity'), write('auto')]).toEqual([
      'DMA-FQ\n',
      'identity\n',
      'DMA\n',
      'DMA-FQ\n',
      'identity\n',
      'DMA-FQ\n',
    ])
    expect(attached).toEqual(['identity', 'paging', 'identity', 'paging'])
  })
  test('makes a domain where the machine began with identity, and frees it when it is left', () => {
    const { write, attached } = bench({ boot: IDENTITY })
    expect([write('DMA'), write('auto')]).toEqual(['DMA\n', 'identity\n'])
    expect(attached).toEqual(['paging', 'identity', 'free'])
  })
  test('is EINVAL for another word, EOPNOTSUPP where hardware cannot pass requests through', () => {
    const { write, type } = bench({ identity: false })
    expect([write('bogus'), write('dma'), write(''), write('identity'), type()]).toEqual([
      'EINVAL',
      'EINVAL',
      'EINVAL',
      'EOPNOTSUPP',
      'DMA-FQ\n',
    ])
  })
  test('is EPERM while a driver or a user has the group, except from DMA to DMA-FQ', () => {
    const { group, write } = bench()
    group.use()
    expect([write('DMA'), write('bogus')]).toEqual(['EPERM', 'EINVAL'])
    group.unuse()
    write('DMA')
    group.claim({}, false)
    expect([write('identity'), write('DMA-FQ'), write('DMA')]).toEqual(['EPERM', 'DMA-FQ\n', 'EPERM'])
  })
  test('is EACCES without CAP_SYS_ADMIN and CAP_SYS_RAWIO', () => {
    const { sysfs } = bench()
    const process = createHost()
      .get(Processes)
      .spawn({ uid: 1000, capabilities: ['CAP_SYS_ADMIN'] })
    expect(() => sysfs.write('/sys/kernel/iommu_groups/4/type', 'DMA', { process })).toThrow('EACCES')
  })
})
