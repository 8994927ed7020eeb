import { describe, expect, test } from 'vitest'
import { bdf } from './address.ts'
import { IommuDriver } from './iommu/driver.ts'
import { IommuGroups } from './iommu/groups.ts'
import type { MachineOptions } from './machine.ts'
import { Cpus } from './memory/cpu.ts'
import { Memory } from './memory/host-memory.ts'
import { type PciFunction, PciQuirk } from './pci/function.ts'
import { AT, model } from './pci/pci-models.test-kit.ts'
import { Pci } from './pci/topology.ts'
import { createHost } from './plugin/host.ts'
import { CompositionError, type Plugin } from './plugin/plugin.ts'

const ALL_ONES = 0xffff_ffff_ffff_ffffn
const byte = (n: number): Uint8Array => Uint8Array.of(n)

describe('memory and CPUs', () => {
  test('a machine has 64 MiB and one CPU unless told otherwise', () => {
    const host = createHost()
    const [cpu, ...more] = host.get(Cpus)
    expect(more).toEqual([])
    expect(host.get(Memory).ram).toEqual([{ first: 0, last: 2 ** 26 - 1 }])
    cpu.store(2 ** 26 - 8, 8, 5n)
    expect([cpu.load(2 ** 26 - 8, 8), cpu.load(2 ** 26, 8)]).toEqual([5n, ALL_ONES])
  })
  test('RAM may lie in several ranges', () => {
    const host = createHost({
      machine: {
        ram: [
          { first: 0, bytes: 2 ** 24 },
          { first: 2 ** 32, bytes: 2 ** 24 },
        ],
      },
    })
    const [cpu] = host.get(Cpus)
    cpu.store(2 ** 32 + 8, 8, 7n)
    expect([cpu.load(2 ** 32 + 8, 8), cpu.load(2 ** 24, 8)]).toEqual([7n, ALL_ONES])
  })
  test('all CPUs see one memory', () => {
    const [a, , c] = createHost({ machine: { cpus: 3 } }).get(Cpus)
    a.store(0x1000, 8, 9n)
    expect(c?.load(0x1000, 8)).toBe(9n)
  })
  test('with caches, what a CPU wrote is in memory when it is flushed, and a device that snoops sees it before', () => {
    const host = createHost({ machine: { cache: true, cpus: 2 } })
    const memory = host.get(Memory)
    const [cpu, other] = host.get(Cpus)
    const raw = new Uint8Array(1)
    cpu.write(0x2000, byte(0x77))
    memory.read(0x2000, raw)
    expect(raw[0]).toBe(0)
    memory.snoop?.read(0x2000, raw)
    expect(raw[0]).toBe(0x77)
    expect(other?.load(0x2000, 1)).toBe(0x77n)
    cpu.clflush(0x2000, 1)
    memory.read(0x2000, raw)
    expect(raw[0]).toBe(0x77)
  })
  test('without caches there is nothing to snoop', () => {
    expect(createHost().get(Memory).snoop).toBeUndefined()
  })

  test.each<[why: string, options: MachineOptions, message: RegExp]>([
    ['no CPU', { cpus: 0 }, /^machine: 0 CPUs; at least 1 is needed$/],
    ['half a CPU', { cpus: 1.5 }, /^machine: 1.5 CPUs/],
    ['no number of CPUs', { cpus: Number.NaN }, /^machine: NaN CPUs/],
    ['no RAM', { ram: 0 }, /^machine: /],
    ['less than no RAM', { ram: -4096 }, /^machine: /],
    ['RAM that is not made of pages', { ram: 2 ** 24 + 1 }, /^machine: /],
    ['RAM beyond 52 bits', { ram: [{ first: 2 ** 52, bytes: 2 ** 24 }] }, /^machine: /],
    [
      'RAM twice at one address',
      {
        ram: [
          { first: 0, bytes: 2 ** 24 },
          { first: 2 ** 20, bytes: 2 ** 24 },
        ],
      },
      /^machine: /,
    ],
  ])('%s is refused in one line', (_, options, message) => {
    expect(() => createHost({ machine: options })).toThrow(CompositionError)
    expect(() => createHost({ machine: options })).toThrow(message)
  })
})

/** Functions with every ACS control switched off, at 00:02.0 and behind the root port 00:01.0. */
const functions: Plugin = {
  name: 'functions',
  contract: 1,
  needs: [Pci],
  setup: (host) => {
    const pci = host.get(Pci)
    pci.place(model({ port: 4, bridge: [1, 1], acs: [0x5f, 0] }), { bdf: bdf(0, 1, 0) })
    pci.place(model({ port: 9, acs: [0x11, 0] }), { bdf: bdf(0, 2, 0) })
    pci.place(model({ port: 0 }), { bdf: bdf(1, 0, 0) })
  },
}
/** A driver that looks and serves nobody: a kernel with an IOMMU. */
const onlooker = (seen: string[] = []): Plugin => ({
  name: 'onlooker',
  contract: 1,
  provides: [IommuDriver],
  setup: (host) => {
    host.provide(IommuDriver, {
      name: 'onlooker',
      probe: (fn) => {
        seen.push(`${fn.name.slice(5)} ${control(fn).toString(16)}`)
        return undefined
      },
    })
  },
})
const control = (fn: PciFunction): number => (fn.extendedCapability(0x0d) ? fn.readConfig(AT.acs + 6, 2) : 0)

describe('Access Control Services at boot', () => {
  test('are switched on before groups are made, as far as each function has them', () => {
    const seen: string[] = []
    createHost({ plugins: [functions, onlooker(seen)] })
    // SV RR CR UF of what the root port has, SV and UF of what the endpoint has; Translation Blocking and Direct Translated stay.
    expect(seen).toEqual(['00:01.0 1d', '00:02.0 11', '01:00.0 0'])
  })
  test('are switched on for a function that comes later, before it is probed', () => {
    const seen: string[] = []
    const host = createHost({ plugins: [functions, onlooker(seen)] })
    host.get(Pci).place(model({ port: 9, acs: [0x1d, 0] }), { bdf: bdf(0, 7, 0) })
    expect(seen.at(-1)).toBe('00:07.0 1d')
  })
  test('stay off on a machine without IOMMU', () => {
    const pci = createHost({ plugins: [functions] }).get(Pci)
    pci.place(model({ port: 9, acs: [0x1d, 0] }), { bdf: bdf(0, 7, 0) })
    expect(pci.functions.map(control)).toEqual([0, 0, 0, 0])
  })
})

/** A plug-in that knows something about some functions. */
const quirk = (value: PciQuirk): Plugin => ({
  name: value.name,
  contract: 1,
  provides: [PciQuirk],
  setup: (host) => {
    host.provide(PciQuirk, value)
  },
})

describe('quirks', () => {
  /** A driver that serves everybody, so that there are groups. */
  const serving: Plugin = {
    name: 'serving',
    contract: 1,
    provides: [IommuDriver],
    setup: (host) => {
      const domain = { type: 'identity' } as const
      const caps = { cacheCoherent: true, enforcesCoherency: false, isolatedMsi: false, pasidBits: 0 }
      const driver: IommuDriver = {
        name: 'serving',
        probe: (fn) => ({
          fn,
          driver,
          caps,
          requesterIds: [],
          reserved: [],
          defaultDomain: domain,
          blocked: domain,
          attach: () => 'ok',
          release: () => {},
        }),
      }
      host.provide(IommuDriver, driver)
    },
  }
  const two: Plugin = {
    name: 'two',
    contract: 1,
    needs: [Pci],
    setup: (host) => {
      for (const device of [2, 3]) host.get(Pci).place(model(), { bdf: bdf(0, device, 0) })
    },
  }

  test('of any plug-in are known before groups are made, whatever the order of plug-ins', () => {
    const sharing = quirk({ name: 'sharing', dmaAliases: (fn) => (fn.bdf === 0x18 ? [0x10] : undefined) })
    const groups = createHost({ plugins: [two, serving, sharing] }).get(IommuGroups)
    expect(groups.groups.map((g) => g.members.length)).toEqual([2])
    expect(createHost({ plugins: [two, serving] }).get(IommuGroups).groups).toHaveLength(2)
  })
  test('may switch isolation on by other means: the capability is left alone', () => {
    const own = quirk({ name: 'own means', enableAcs: (fn) => fn.bdf === 0x10 || undefined })
    const pci = createHost({ plugins: [functions, onlooker(), own] }).get(Pci)
    expect(pci.functions.map(control)).toEqual([0x1d, 0, 0])
  })
})
