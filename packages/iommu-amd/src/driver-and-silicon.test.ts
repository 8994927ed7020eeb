/** What only both sides together show: boot, growing tables, dirty pages, PASIDs, page requests, first stages of guests. */
import {
  ACCESS,
  Cpus,
  DMA,
  flushGather,
  IommuGroups,
  type Iova,
  type PageRequest,
  pageRuns,
  Pages,
  type PagingDomain,
  Sysfs,
  Tracer,
} from '@ioasis/core'
import { PageTable, x86_64 } from '@ioasis/page-table'
import { mustBeSound } from '@ioasis/testkit'
import { describe, expect, test } from 'vitest'
import { REG } from './spec/registers.ts'
import { Guest, nestingWorld } from './guest.test-kit.ts'
import { AmdDomain, CommandBuffer, DEFAULT_UNIT, SvaDomain } from './index.ts'
import { type AmdMachine, amdMachine } from './machine.test-kit.ts'

const RW = { read: true, write: true }
const QEMU = { ...DEFAULT_UNIT, efr: 0x29d3n, efr2: 0n, header: 0x1f03_000f }

const page = ({ host }: AmdMachine): number => host.get(Pages).alloc(4096, 'target of DMA')
function attached(
  m: AmdMachine,
  options: Parameters<NonNullable<AmdMachine['plain']['device']['paging']>['alloc']>[0] = {},
): AmdDomain {
  const domain = m.plain.device.paging.alloc(options) as AmdDomain
  expect(m.plain.device.attach(domain, {})).toBe('ok')
  return domain
}
const write = ({ plain }: AmdMachine, iova: Iova): number => plain.fn.dma.write(iova, Uint8Array.of(1, 2, 3))

describe('at boot', () => {
  test('a unit is told where its tables are before it is switched on, and then to forget everything', () => {
    const m = amdMachine()
    const control = m.unit.mmio.load(REG.CTRL, 8)
    // IommuEn, EventLogEn, EventIntEn, InvTimeOut 1 s, Coherent, CmdBufEn, PPRLogEn, PPRIntEn, PPREn, GTEn, GAEn, EPHEn, GCR3TRPMode.
    const bits = [0, 2, 3, 7, 10, 12, 13, 14, 15, 16, 17, 45, 58]
    expect(control.toString(2)).toBe(bits.reduce((all, bit) => all | (1n << BigInt(bit)), 0n).toString(2))
    expect(m.unit.mmio.load(REG.DEVTAB, 8) & 0x1ffn).toBe(511n)
    expect(m.unit.mmio.load(REG.CMDHEAD, 8)).toBe(m.unit.mmio.load(REG.CMDTAIL, 8))
    m.host.close()
  })
  test('a unit without INVALIDATE_IOMMU_ALL is told entry by entry', () => {
    using m = amdMachine({
      units: [{ ...QEMU, efr: 0x2993n, devices: [{ kind: 'range', first: 0, last: 0xff, settings: 0 }] }],
    })
    expect(write(m, 0x1000n)).toBeGreaterThan(0)
  })
  test('everything is given back when the host goes', () => {
    const m = amdMachine()
    const pages = m.host.get(Pages)
    m.host.close()
    expect(pages.allocated).toBe(0)
  })
  test('a host whose group was given tables in place of passing through closes as well', () => {
    const m = amdMachine({ identityDefault: true })
    const group = m.host.get(IommuGroups).of(m.plain.fn)
    group?.setDefaultType('DMA')
    expect(group?.domain?.type).toBe('paging')
    const pages = m.host.get(Pages)
    m.host.close()
    expect(pages.allocated).toBe(0)
  })
  test('memory that runs out leaves nothing behind', () => {
    expect(() => amdMachine({ makeQueue: (parts) => ((parts.pages.failAfter = 2), new CommandBuffer(parts)) })).toThrow(
      'ENOMEM',
    )
  })
  test('a unit whose function stands elsewhere than firmware says is told by name', () => {
    using m = amdMachine()
    expect(m.host.get(Sysfs).read('/sys/class/iommu/ivhd0/amd-iommu/features')).toBe('17002f000048da:8\n')
  })
})

describe('default domains', () => {
  test('a function with PASIDs passes through, others are translated', () => {
    using m = amdMachine()
    expect([m.able.device.defaultDomain.type, m.plain.device.defaultDomain.type]).toEqual(['identity', 'paging'])
    expect(m.able.device.caps).toMatchObject({ pasidBits: 15, ats: true, dirtyTracking: true, enforcesCoherency: true })
    expect(m.plain.device.caps).toMatchObject({ pasidBits: 0, ats: false })
  })
  test('on a unit without EPHSup nobody looks at PASIDs and ATS', () => {
    using m = amdMachine({ units: [QEMU] })
    expect(m.able.device.defaultDomain).toMatchObject({ type: 'paging', strict: true })
    expect(m.able.device.caps).toMatchObject({ pasidBits: 0, ats: false, dirtyTracking: false })
  })
  test('iommu=pt: all pass through', () => {
    using m = amdMachine({ identityDefault: true })
    expect(m.plain.device.defaultDomain.type).toBe('identity')
  })
  test('ATS, page requests and PASIDs are switched on with what needs them', () => {
    using m = amdMachine()
    const state = () => [0x106, 0x114, 0x126].map((at) => m.able.fn.readConfig(at, 2) & 0x8003)
    expect(state()).toEqual([0x8000, 1, 1])
    m.able.device.attach(m.able.device.paging.alloc({ nestParent: true }), {})
    expect(state()).toEqual([0x8000, 0, 0])
    m.able.device.attach(m.able.device.blocked, {})
    expect(state()).toEqual([0, 0, 0])
  })
})

const mode = (m: AmdMachine, options: object): string => {
  try {
    const domain = m.plain.device.paging.alloc(options) as AmdDomain
    const { mode: which } = domain
    domain.free()
    return which
  } catch (error) {
    return (
      ((error as Error).message.slice(0, (error as Error).message.indexOf(' ')) &&
        /E[A-Z]+/.exec((error as Error).message)?.[0]) ||
      ''
    )
  }
}

describe('domains that options ask for (amd_iommu_domain_alloc_paging_flags)', () => {
  test.each([
    ['nothing special', {}, 'v1', 'v1'],
    ['dirty tracking', { dirtyTracking: true }, 'v1', 'EOPNOTSUPP'],
    ['a nest parent', { nestParent: true }, 'v1', 'EOPNOTSUPP'],
    ['both', { nestParent: true, dirtyTracking: true }, 'v1', 'EOPNOTSUPP'],
    ['PASID', { pasid: true }, 'v2', 'EOPNOTSUPP'],
    ['PASID and dirty tracking', { pasid: true, dirtyTracking: true }, 'EOPNOTSUPP', 'EOPNOTSUPP'],
    ['data', { data: {} }, 'EOPNOTSUPP', 'EOPNOTSUPP'],
  ])('%s', (_what, options, full, qemu) => {
    using able = amdMachine()
    using lesser = amdMachine({ units: [QEMU] })
    expect([mode(able, options), mode(lesser, options)]).toEqual([full, qemu])
  })
  test('a unit that walks guest tables only has v2 tables, of 47 bits', () => {
    using m = amdMachine({ units: [{ ...DEFAULT_UNIT, efr: DEFAULT_UNIT.efr | 0xc00n }] })
    const domain = attached(m)
    expect([domain.mode, domain.aperture.last]).toEqual(['v2', (1n << 47n) - 1n])
    domain.map(0x5000n, pageRuns([page(m), 4096]), RW)
    expect(write(m, 0x5000n)).toBe(DMA.OK)
    expect(mode(m, { dirtyTracking: true })).toBe('EOPNOTSUPP')
    mustBeSound(m.host)
  })
})

describe('a table that grows', () => {
  test('is reached above and below its old reach, by the mode in the entry', () => {
    using m = amdMachine()
    const domain = attached(m)
    const [low, high] = [page(m), page(m)]
    domain.map(0x5000n, pageRuns([low, 4096]), RW)
    expect([write(m, 0x5000n), domain.levels]).toEqual([DMA.OK, 3])
    domain.map(0xffff_ffff_ffff_f000n, pageRuns([high, 4096]), RW)
    expect([write(m, 0x5000n), write(m, 0xffff_ffff_ffff_f000n), domain.levels]).toEqual([DMA.OK, DMA.OK, 6])
    mustBeSound(m.host)
  })
})

const dirty = (domain: PagingDomain, clear: boolean): [Iova, bigint][] => {
  const told: [Iova, bigint][] = []
  const gather = flushGather()
  domain.dirty?.read({ first: 0n, last: 0xff_ffffn }, (iova, bytes) => told.push([iova, bytes]), { clear, gather })
  domain.sync(gather)
  return told
}

describe('dirty pages', () => {
  test('are recorded from the moment they are asked for, told, and recorded anew once cleared', () => {
    using m = amdMachine()
    const domain = attached(m, { dirtyTracking: true })
    const [one, other] = [page(m), page(m)]
    domain.map(0x5000n, pageRuns([one, 4096]), RW)
    domain.map(0x9000n, pageRuns([other, 4096]), RW)
    write(m, 0x9000n)
    expect(dirty(domain, false)).toEqual([])
    domain.dirty?.set(true)
    m.plain.fn.dma.read(0x5000n, new Uint8Array(4))
    write(m, 0x9000n)
    expect(dirty(domain, true)).toEqual([[0x9000n, 0x1000n]])
    expect(dirty(domain, true)).toEqual([])
    write(m, 0x9000n)
    write(m, 0x5000n)
    expect(dirty(domain, false)).toEqual([
      [0x5000n, 0x1000n],
      [0x9000n, 0x1000n],
    ])
    domain.dirty?.set(false)
    expect(m.unit.inspect().filter(({ kind }) => kind === 'cached')).toEqual([])
  })
  test('a domain that records does not fit a unit that cannot', () => {
    const lesser = {
      ...QEMU,
      registers: QEMU.registers + 0x8000,
      devices: [{ kind: 'select', bdf: 0x28, settings: 0 } as const],
    }
    using m = amdMachine({ units: [DEFAULT_UNIT, lesser] })
    const domain = m.plain.device.paging.alloc({ dirtyTracking: true })
    expect(m.able.device.attach(domain, {})).toBe('incompatible')
  })
})

function process(m: AmdMachine): PageTable {
  const [cpu] = m.host.get(Cpus)
  const table = new PageTable(
    x86_64,
    { topLevel: 3, pageSizes: 4096n, iovaBits: 47 },
    { cpu, pages: m.host.get(Pages), flushWrites: false },
  )
  table.map(0x7000_0000n, pageRuns([page(m), 4096]), RW)
  return table
}

const writeAs = ({ able: { fn } }: AmdMachine, pasid: number): number => {
  fn.dma.request.pasid = pasid
  const status = fn.dma.write(0x7000_0000n, Uint8Array.of(9))
  fn.dma.request.pasid = -1
  return status
}

describe('PASIDs', () => {
  test('a process’s tables are reached under its PASID, until it is taken away', () => {
    using m = amdMachine()
    const { device } = m.able
    const table = process(m)
    const sva = new SvaDomain(table.root)
    expect(writeAs(m, 5)).toBeGreaterThan(0)
    expect(device.attach(sva, { pasid: 5 })).toBe('ok')
    expect([writeAs(m, 5), writeAs(m, 6) > 0]).toEqual([DMA.OK, true])
    mustBeSound(m.host)
    device.attach(device.blocked, { pasid: 5, replacing: sva })
    expect(writeAs(m, 5)).toBeGreaterThan(0)
    expect(m.able.fn.dma.read(0x5000n, new Uint8Array(4)), 'requests without PASID pass through').toBe(DMA.OK)
    mustBeSound(m.host)
  })
  test('refusals are Linux’s', () => {
    using m = amdMachine()
    const { device } = m.able
    const sva = new SvaDomain(process(m).root)
    expect(() => device.attach(device.paging.alloc({ pasid: true }), { pasid: 5 })).toThrow('EOPNOTSUPP')
    expect(() => device.attach(sva, { pasid: 0 })).toThrow('EINVAL')
    expect(() => device.attach(sva, { pasid: 65535 })).toThrow('EINVAL')
    expect(() => m.plain.device.attach(sva, { pasid: 5 })).toThrow('EINVAL')
    device.attach(sva, { pasid: 5 })
    expect(() => device.attach(new SvaDomain(0x1000), { pasid: 5, replacing: sva })).toThrow('EOPNOTSUPP')
  })
})

const ask = (m: AmdMachine, more: Partial<PageRequest> = {}): string[] => {
  const answers: string[] = []
  const respond: PageRequest['respond'] = (code) => void answers.push(code)
  const plain = { iova: 0x7000_1000n, read: true, write: true, exec: false, priv: false }
  m.unit.pri.request({ requester: m.able.fn.bdf, pasid: 5, ...plain, last: true, group: 3, respond, ...more })
  return answers
}

describe('page requests', () => {
  test('reach whoever listens, and its answer the device', () => {
    using m = amdMachine()
    const heard: PageRequest[] = []
    m.able.device.pageRequests?.listen((request) => heard.push(request))
    const answers = ask(m)
    expect(heard).toMatchObject([
      { pasid: 5, iova: 0x7000_1000n, read: true, write: true, exec: false, priv: false, group: 3, last: true },
    ])
    expect(answers).toEqual([])
    heard[0]?.respond('success')
    expect(answers).toEqual(['success'])
  })
  test('are answered when nobody listens, and when their PASID is none', () => {
    using m = amdMachine()
    expect(ask(m)).toEqual(['invalid'])
    expect(ask(m, { pasid: 65535 })).toEqual(['failure'])
  })
  test('more than the log holds: those that found no room are answered, and the log goes on', () => {
    using m = amdMachine()
    let heard = 0
    m.able.device.pageRequests?.listen(() => heard++)
    for (let i = 0; i < 1500; i++) ask(m, { group: i & 0x1ff })
    expect(heard).toBe(1500)
  })
})

describe('faults', () => {
  test('are told in the kernel’s own line, with the reason that the device saw', () => {
    using m = amdMachine()
    const lines: [string, number][] = []
    m.host.get(Tracer).on('fault', ({ text, reason }) => lines.push([text, reason]))
    const domain = attached(m)
    const status = write(m, 0x1234_5000n)
    expect(lines).toEqual([
      [
        `pci 0000:00:06.0: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x${domain.id.toString(16).padStart(4, '0')} address=0x12345000 flags=0x0020]`,
        status,
      ],
    ])
  })
  test('more than the log holds are lost, and the log starts again', () => {
    using m = amdMachine()
    let heard = 0
    m.host.get(Tracer).on('fault', () => heard++)
    attached(m)
    for (let i = 0; i < 2000; i++) write(m, BigInt(i) << 12n)
    expect(heard).toBe(2000)
  })
  test('x2APIC: the unit’s interrupt comes from its registers', () => {
    using m = amdMachine({ units: [{ ...DEFAULT_UNIT, efr: DEFAULT_UNIT.efr | 4n }] })
    let heard = 0
    m.host.get(Tracer).on('fault', () => heard++)
    write(m, 0x1234_5000n)
    expect(heard).toBe(1)
  })
})

test('many commands at a time go round the ring', () => {
  using m = amdMachine()
  const { unit } = m.plain.device
  const commands = Array.from({ length: 5000 }, (_, i) => ({ kind: 'device' as const, requester: i & 0xff }))
  unit.invalidate(commands)
  expect(m.unit.mmio.load(REG.CMDHEAD, 8)).toBe(m.unit.mmio.load(REG.CMDTAIL, 8))
})

describe('first stages of guests', () => {
  const variant = { pageSize: 4096, units: 1, lag: false } as const
  const opened = () => {
    const world = nestingWorld(variant)
    const guest = new Guest(world)
    const table = guest.table()
    const dte = guest.dte(table, 5)
    return { world, guest, table, dte, port: (world.devices[0] as (typeof world.devices)[0]).port }
  }
  test('lead through the guest’s memory to the host’s', () => {
    const { world, guest, table, dte, port } = opened()
    const domain = guest.first(dte)
    table.map(0x7f00_0000_0000n, pageRuns([0x3000, 4096]), RW)
    expect(guest.device.attach(domain, {})).toBe('ok')
    expect(port.write(0x7f00_0000_0010n, Uint8Array.of(42))).toBe(DMA.OK)
    expect(world.cpus[0].load((guest.backing[3] as number) + 0x10, 1)).toBe(42n)
    expect(port.read(0x3000n, new Uint8Array(1))).toBeGreaterThan(0)
    mustBeSound(world.host)
    world.close()
  })
  test('memory that the host takes away is not reached through them', () => {
    const { world, guest, table, dte, port } = opened()
    table.map(0x1000n, pageRuns([0x3000, 4096]), RW)
    guest.device.attach(guest.first(dte), {})
    expect(port.write(0x1000n, Uint8Array.of(1))).toBe(DMA.OK)
    const gather = flushGather()
    guest.parent.unmap(0x3000n, 0x1000n, gather)
    guest.parent.sync(gather)
    expect(port.write(0x1000n, Uint8Array.of(1))).toBeGreaterThan(0)
    world.close()
  })
  test('their own entry follows when the parent grows', () => {
    const { world, guest, table, dte, port } = opened()
    table.map(0x1000n, pageRuns([0x3000, 4096]), RW)
    guest.device.attach(guest.first(dte), {})
    guest.parent.map(1n << 60n, pageRuns([world.pages.alloc(4096), 4096]), RW)
    expect(port.write(0x1000n, Uint8Array.of(1))).toBe(DMA.OK)
    world.close()
  })
  test('one id of the guest is one of the host, within a slice', () => {
    const { world, guest, table, dte } = opened()
    const [one, same, other] = [guest.first(dte), guest.first(dte), guest.first(guest.dte(table, 6))]
    expect(same.id).toBe(one.id)
    expect(other.id).not.toBe(one.id)
    expect([...guest.viommu.ids]).toEqual([one.id, other.id])
    for (const domain of [one, same, other]) domain.free()
    expect([...guest.viommu.ids]).toEqual([])
    world.close()
  })
  test('an entry that is not a guest’s is refused (validate_gdte_nested)', () => {
    const { world, guest, dte } = opened()
    const [a, b, c, d] = dte
    expect(() => guest.first(dte, 1)).toThrow('EOPNOTSUPP')
    expect(() => guest.first([a | 0x200n, b, c, d])).toThrow('EINVAL')
    expect(() => guest.first([a | 0x1000n, b, c, d])).toThrow('EINVAL')
    expect(() => guest.first([3n | (1n << 55n), 5n, c, d])).toThrow('EINVAL')
    expect(() => guest.first([a | (3n << 56n), b, c, d])).toThrow('EINVAL')
    expect(() => guest.first([a, b, 2n << 54n, d])).toThrow('EINVAL')
    expect(() => guest.first([a, b, 1n << 54n, d])).toThrow('EOPNOTSUPP')
    world.close()
  })
  test('without being asked the driver makes none, as Linux 7.2', () => {
    const world = nestingWorld(variant, { connectNesting: false })
    const guest = new Guest(world)
    expect(guest.viommu.allocNested).toBeUndefined()
    world.close()
  })
})

describe('debug files', () => {
  test('show registers, capability words, commands, and the entry of the function that was named', () => {
    using m = amdMachine()
    const sysfs = m.host.get(Sysfs)
    const at = '/sys/kernel/debug/iommu/amd'
    expect(sysfs.read(`${at}/iommu00/mmio`)).toBe("Please provide mmio register's offset\n")
    sysfs.write(`${at}/iommu00/mmio`, '0x30\n')
    expect(sysfs.read(`${at}/iommu00/mmio`)).toBe('Offset:0x30 Value:0x0017002f000048da\n')
    sysfs.write(`${at}/iommu00/capability`, '0\n')
    expect(sysfs.read(`${at}/iommu00/capability`)).toBe('Offset:0x0 Value:0x090b640f\n')
    expect(sysfs.read(`${at}/iommu00/cmdbuf`)).toMatch(
      /^CMD Buffer Head Offset:\d+ Tail Offset:\d+\n {2}0: [0-9a-f]{8} [0-9a-f]{8} /,
    )
    expect(sysfs.read(`${at}/devtbl`)).toBe("Enter a valid device ID to 'devid' file\n")
    sysfs.write(`${at}/devid`, '0000:00:06.0\n')
    expect(sysfs.read(`${at}/devid`)).toBe('0000:00:06.0\n')
    expect(sysfs.read(`${at}/devtbl`)).toMatch(
      /^DeviceId +QWORD\[3\].*\n0000:00:06\.0 0{16} [0-9a-f]{16} [0-9a-f]{16} 6[0-9a-f]{15} iommu0\n$/,
    )
    expect(sysfs.read(`${at}/irqtbl`)).toBe('IRQ lookup table not set for 0000:00:06:0\n')
    const refuse = m.plain.device.allowMessages([0x41])
    expect(sysfs.read(`${at}/irqtbl`)).toBe('DeviceId 0000:00:06.0\nIRT[0065] 0000000000000041 0000000000000001\n\n')
    refuse()
    expect(sysfs.read(`${at}/irqtbl`)).toBe('DeviceId 0000:00:06.0\n\n')
  })
  test('refuse what Linux refuses', () => {
    using m = amdMachine()
    const sysfs = m.host.get(Sysfs)
    const at = '/sys/kernel/debug/iommu/amd'
    expect(() => sysfs.write(`${at}/iommu00/mmio`, '0x4000\n')).toThrow('EINVAL')
    expect(() => sysfs.write(`${at}/iommu00/mmio`, '0x3ff9\n')).toThrow('EINVAL')
    sysfs.write(`${at}/iommu00/mmio`, '0x3ff8\n')
    expect(sysfs.read(`${at}/iommu00/mmio`)).toMatch(/^Offset:0x3ff8 /)
    sysfs.write(`${at}/iommu00/mmio`, '060')
    expect(sysfs.read(`${at}/iommu00/mmio`)).toMatch(/^Offset:0x30 /)
    expect(() => sysfs.write(`${at}/iommu00/mmio`, '0x000000030')).toThrow('EINVAL')
    expect(sysfs.read(`${at}/iommu00/mmio`)).toBe("Please provide mmio register's offset\n")
    expect(() => sysfs.write(`${at}/iommu00/capability`, '0x18\n')).toThrow('EINVAL')
    sysfs.write(`${at}/devid`, '0x0:0x6.0x0\n')
    expect(sysfs.read(`${at}/devid`)).toBe('0000:00:06.0\n')
    expect(() => sysfs.write(`${at}/devid`, 'nic\n')).toThrow('EINVAL')
    expect(() => sysfs.write(`${at}/devid`, '00:00.2\n')).toThrow('ENODEV')
    expect(sysfs.read(`${at}/devid`)).toBe('No or Invalid input provided\n')
  })
})

test('messages of a function pass while their vectors are its own, and no others', () => {
  using m = amdMachine()
  const message = (data: number, requester: number) => m.unit.msi.remap({ address: 0xfee0_0000n, data }, requester)
  expect(message(0x41, m.plain.fn.bdf)).toBeUndefined()
  const refuse = m.plain.device.allowMessages([0x41, 0x42])
  expect(message(0x41, m.plain.fn.bdf)).toMatchObject({ vector: 0x41, dest: 0, destMode: 'physical' })
  expect([message(0x43, m.plain.fn.bdf), message(0x41, 0x50)]).toEqual([undefined, undefined])
  refuse()
  expect(message(0x41, m.plain.fn.bdf)).toBeUndefined()
})
test('what is attached changes nothing of what an entry says of interrupts', () => {
  using m = amdMachine()
  const { device, fn } = m.plain
  const sysfs = m.host.get(Sysfs)
  const at = '/sys/kernel/debug/iommu/amd'
  sysfs.write(`${at}/devid`, `${fn.name}\n`)
  const words = (): readonly string[] => sysfs.read(`${at}/devtbl`).split('\n')[1]?.split(' ').slice(1, 5) ?? []
  device.attach(device.blocked, {})
  expect(words()).toEqual(['0', '1', '0', '1'].map((word) => word.padStart(16, '0')))
  device.allowMessages([0x41])
  const interrupts = words()[1]
  expect(interrupts).toMatch(/^2[0-9a-f]{13}13$/)
  attached(m)
  expect(words()[1]).toBe(interrupts)
  device.attach(device.blocked, {})
  expect(words()[1]).toBe(interrupts)
})

test('a request with No Snoop is snooped all the same', () => {
  using m = amdMachine()
  attached(m).map(0x5000n, pageRuns([page(m), 4096]), RW)
  const { request } = m.plain.fn.dma
  request.noSnoop = true
  request.access = ACCESS.WRITE
  write(m, 0x5000n)
  expect(request.out.snooped).toBe(true)
})
