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
  const root = (): number => (devices.read(BRIDGE)[4] as number) & ~0x3f
  return { entries, unit, asked, table, root, devices }
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

test('the interrupt table that came last stands in a shared entry, the one before it when that goes', () => {
  const { entries, unit, asked, table, root } = world()
  const [one, two] = [table(), table()]
  entries.connect(unit, [BRIDGE], one)
  entries.connect(unit, [BRIDGE], two)
  expect(root()).toBe(two.hpa)
  expect(asked).toEqual(['device', 'interrupts', 'device', 'interrupts'])
  entries.disconnect(unit, [BRIDGE], two)
  expect(root()).toBe(one.hpa)
  entries.disconnect(unit, [BRIDGE], one)
  expect(root()).toBe(0)
})

test('a table that stands in no entry any more goes without a word', () => {
  const { entries, unit, asked, table, root } = world()
  const [one, two] = [table(), table()]
  entries.connect(unit, [BRIDGE], one)
  entries.connect(unit, [BRIDGE], two)
  asked.length = 0
  entries.disconnect(unit, [BRIDGE], one)
  expect([root(), asked]).toEqual([two.hpa, []])
})
