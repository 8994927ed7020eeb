import { HostMemory, makeCpus, PageAllocator } from '@ioasis/core'
import { expect, test } from 'vitest'
import { DTE0 } from '../spec/device-table.ts'
import { blockedDte, DeviceTable } from './device-table.ts'
import { emptyDte, guestTable, hostTable, setDte } from './device-table-entry.ts'

function world(lastBdf = 0x6ff) {
  const memory = new HostMemory()
  memory.addRam(0, 64 << 20)
  const [cpu] = makeCpus(memory, undefined, 1)
  const pages = new PageAllocator(memory, cpu)
  const table = new DeviceTable(lastBdf, { cpu, pages }, { interrupts: true, initial: () => undefined })
  const log: string[] = []
  const write = cpu.write.bind(cpu)
  cpu.write = (hpa, from) => {
    log.push(`${(hpa - table.hpa) & 0x10 ? 'upper' : 'lower'} half`)
    return write(hpa, from)
  }
  const replace = (now: ReturnType<typeof emptyDte>): string[] => {
    log.length = 0
    table.write(8, now, () => log.push('flush'))
    return [...log]
  }
  return { table, pages, replace }
}
const host = (domain: number) => {
  const dte = emptyDte(undefined)
  hostTable(dte, { root: 0x5000, levels: 3, dirty: false }, { domain, ats: false })
  return dte
}
const guest = (levels: 4 | 5, domain = 1) => {
  const dte = emptyDte(undefined)
  guestTable(dte, { root: 0x7000, glx: 0, giov: true, pageRequests: false, levels }, { domain, ats: false })
  return dte
}

test('is as large as the last requester needs, and refuses everybody at first', () => {
  const { table, pages } = world()
  expect(table.bytes).toBe(0x1_0000)
  for (const id of [0, 1, 0x6ff]) expect(table.read(id)).toEqual(blockedDte(undefined, true))
  expect([...table.read(0)]).toEqual([3, 0, 0, 0, 1, 0, 0, 0])
  table.free()
  expect(pages.allocated).toBe(0)
})
test('halves of an entry are written in an order in which no half-made entry translates', () => {
  const { replace } = world()
  expect(replace(host(1)), 'no guest table before').toEqual(['upper half', 'lower half', 'flush'])
  expect(replace(guest(4)), 'a guest table comes').toEqual(['upper half', 'lower half', 'flush'])
  expect(replace(guest(4, 2)), 'another one').toEqual(['lower half', 'upper half', 'flush'])
  expect(replace(host(1)), 'a guest table goes').toEqual(['lower half', 'upper half', 'flush'])
})
test('guest tables of other levels: the entry is taken away in between', () => {
  const { table, replace } = world()
  replace(guest(4))
  expect(replace(guest(5))).toEqual(['lower half', 'flush', 'upper half', 'lower half', 'flush'])
  expect([...table.read(8)].slice(0, 4)).toEqual([...guest(5)].slice(0, 4))
})
test('what an entry says of interrupts stays when DMA changes, and the other way round', () => {
  const { table, replace } = world()
  replace(guest(5))
  table.setInterrupts(8, { hpa: 0x1_2345_6000, length: 9 })
  replace(guest(4))
  expect([...table.read(8)].slice(4)).toEqual([0x2345_6013, 0x2000_0001, 0, 0])
  replace(guest(5))
  table.setInterrupts(8, undefined)
  expect([...table.read(8)].slice(4)).toEqual([1, 0x0040_0000, 0, 0])
})
test('an entry beyond the end is a broken promise', () => {
  const { table } = world(0xff)
  expect(() => table.read(0x100)).toThrow('beyond its end')
})
test('the first word alone', () => {
  const { table, replace } = world()
  const dte = host(3)
  replace(dte)
  setDte(dte, 0, DTE0.HAD, 3)
  table.writeFirst(8, dte)
  expect(table.read(8)[0]).toBe(dte[0])
})
