import { HostMemory, makeCpus, PageAllocator } from '@ioasis/core'
import { expect, test } from 'vitest'
import { DeviceTable } from './device-table.ts'
import { emptyDte } from './device-table-entry.ts'
import { InterruptTable } from './interrupt-table.ts'
import type { IvhdUnit } from './ivhd-unit.ts'
import { RequesterEntries } from './requester-entries.ts'

const BRIDGE = 0x10

function world() {
  const memory = new HostMemory()
  memory.addRam(0, 64 << 20)
  const [cpu] = makeCpus(memory, undefined, 1)
  const pages = new PageAllocator(memory, cpu)
  const devices = new DeviceTable(0x20, { cpu, pages }, { interrupts: true, initial: () => undefined })
  const asked: string[] = []
  const unit = {
    invalidate: (commands: readonly { readonly kind: string }[]) => asked.push(...commands.map((c) => c.kind)),
  } as unknown as IvhdUnit
  const table = (): InterruptTable => new InterruptTable({ wide: true, many: false }, { cpu, pages })
  const entries = new RequesterEntries(devices)
  const root = (requester = BRIDGE): number => (devices.read(requester)[4] as number) & ~0x3f
  return { entries, unit, asked, table, root, devices, pages }
}

test('an entry that functions share goes on as the last of those who stay wanted it', () => {
  const { entries, unit, devices } = world()
  const [first, second, empty] = [emptyDte(undefined), emptyDte(undefined), emptyDte(undefined)]
  first[2] = 1
  second[2] = 2
  const [one, two] = [{}, {}]
  entries.set(unit, one, [BRIDGE], first)
  entries.set(unit, two, [BRIDGE], second)
  expect([devices.read(BRIDGE)[2], entries.usersOf(BRIDGE).at(-1)]).toEqual([2, two])
  entries.clear(unit, two, [BRIDGE], empty)
  expect(devices.read(BRIDGE)[2]).toBe(1)
  entries.clear(unit, one, [BRIDGE], empty)
  expect([devices.read(BRIDGE)[2], entries.usersOf(BRIDGE)]).toEqual([0, []])
})

test('functions that share an entry share the interrupt table in it, which goes with the last of them', () => {
  const { entries, unit, asked, table, root, pages } = world()
  const [one, two] = [{}, {}]
  const before = pages.allocated
  const made = entries.connect(unit, one, [BRIDGE, 0x18], table)
  expect([root(), asked]).toEqual([made.hpa, ['device', 'interrupts', 'device', 'interrupts']])
  expect(entries.connect(unit, two, [BRIDGE, 0x19], table)).toBe(made)
  entries.disconnect(unit, one, [BRIDGE, 0x18])
  expect([root(), root(0x18), root(0x19)]).toEqual([made.hpa, 0, made.hpa])
  entries.disconnect(unit, two, [BRIDGE, 0x19])
  expect([root(), root(0x19), pages.allocated]).toEqual([0, 0, before])
})
