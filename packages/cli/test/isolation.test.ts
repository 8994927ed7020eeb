/** Two hosts in one process share nothing. */
import {
  Bus,
  Clock,
  Cpus,
  type Host,
  type InterruptController,
  Interrupts,
  IommuGroups,
  IommuUnit,
  Kernel,
  pageRuns,
  Pages,
  Pci,
  Sysfs,
  Tracer,
} from '@ioasis/core'
import { machineHost } from '@ioasis/hosts'
import { expect, test } from 'vitest'

const NIC = '01:00.0'
const SAMPLES = [0x1000, 0x10_0000, 0x20_0000, 0x100_0000]

/** What can be seen of a host without changing it, as plain data. */
function seen(host: Host): unknown {
  const [cpu] = host.get(Cpus)
  const bytes = new Uint8Array(64)
  return {
    time: host.get(Clock).now(),
    allocated: host.get(Pages).allocated,
    vectors: (host.get(Interrupts) as InterruptController).allocated,
    ports: host.get(Bus).ports,
    functions: host
      .get(Pci)
      .functions.map((fn) => [fn.name, fn.present, Array.from({ length: 64 }, (_, i) => fn.readConfig(4 * i, 4))]),
    groups: host
      .get(IommuGroups)
      .groups.map((g) => [g.id, g.members.map((m) => m.name), g.defaultDomainType, g.domain?.type]),
    caches: host.all(IommuUnit).map((unit) => unit.inspect()),
    registers: Array.from({ length: 32 }, (_, i) => cpu.load(0xfed9_0000 + 8 * i, 8)),
    memory: SAMPLES.map((hpa) => {
      cpu.read(hpa, bytes)
      return [...bytes]
    }),
    kernel: { ...host.get(Kernel) },
  }
}

/** Changes all it can. */
function mutate(host: Host): void {
  const pci = host.get(Pci)
  const pages = host.get(Pages)
  const [cpu] = host.get(Cpus)
  host.get(Clock).at(5, () => undefined)
  host.get(Clock).advance(1000)
  const vector = host.get(Interrupts).allocate()
  host.get(Interrupts).handle(vector, () => undefined)
  host.get(Sysfs).addFile('/sys/mine', { show: () => 'mine' })
  for (const hpa of SAMPLES) cpu.write(hpa, new Uint8Array(64).fill(0xa5))
  const nic = pci.get(NIC)
  nic.writeConfig(4, 2, 6)
  const group = host.get(IommuGroups).containing(NIC)
  group.claim({ user: 'isolation test' }, false)
  const domain = group.allocDomain()
  group.attach(domain)
  domain.map(0x1000n, pageRuns([pages.alloc(4096, 'buffer'), 4096]), { read: true, write: true })
  nic.dma.write(0x1000n, new Uint8Array(64).fill(0x5a))
  nic.dma.write(0x9000n, Uint8Array.of(1))
  for (const fn of pci.functions) {
    for (const at of [0x04, 0x0c, 0x10, 0x14, 0x3c]) fn.writeConfig(at, 4, 0)
  }
  for (const place of ['04:03.0', '05:00.0']) pci.remove(pci.get(place))
}

test('whatever happens to one host, the other one stays as it was, and so does the next', () => {
  using one = machineHost('intel-sc')
  using other = machineHost('intel-sc')
  const before = seen(other)
  expect(seen(one)).toEqual(before)
  const heard: string[] = []
  for (const kind of ['fault', 'removed'] as const) other.get(Tracer).on(kind, () => heard.push(kind))
  mutate(one)
  expect(seen(one)).not.toEqual(before)
  expect(seen(other)).toEqual(before)
  expect(other.get(Sysfs).exists('/sys/mine')).toBe(false)
  expect(heard).toEqual([])
  one.close()
  expect(seen(other)).toEqual(before)
  using next = machineHost('intel-sc')
  expect(seen(next)).toEqual(before)
})
