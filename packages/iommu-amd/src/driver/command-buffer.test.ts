import { HostMemory, makeCpus, PageAllocator } from '@ioasis/core'
import { expect, test } from 'vitest'
import { REG } from '../spec/registers.ts'
import type { Command } from './command.ts'
import { BUFFER_BYTES, CommandBuffer } from './command-buffer.ts'
import { UnitRegisters } from './unit-registers.ts'

const REGISTERS = 0xfed8_0000
const DEVICE: Command = { kind: 'device', requester: 8 }

/** A unit that takes commands when told to, and writes what a COMPLETION_WAIT asks for. @param broken it does not */
function world(broken = false) {
  const memory = new HostMemory()
  memory.addRam(0, 16 << 20)
  const [cpu] = makeCpus(memory, undefined, 1)
  const pages = new PageAllocator(memory, cpu)
  const values = new Map<number, bigint>()
  const seen: number[] = []
  const log: string[] = []
  const run = (): void => {
    const ring = Number((values.get(REG.CMDBASE) ?? 0n) & 0xf_ffff_ffff_f000n)
    let head = Number(values.get(REG.CMDHEAD) ?? 0n)
    for (; head !== Number(values.get(REG.CMDTAIL) ?? 0n); head = (head + 16) % BUFFER_BYTES) {
      const opcode = Number(cpu.load(ring + head + 4, 4)) >>> 28
      seen.push(opcode)
      if (opcode === 1)
        cpu.store(Number(cpu.load(ring + head, 8) & 0xf_ffff_ffff_fff8n), 8, cpu.load(ring + head + 8, 8))
    }
    values.set(REG.CMDHEAD, BigInt(head))
  }
  memory.addMmio(REGISTERS, 0x4000, {
    load: (offset) => {
      if (!broken) run()
      return values.get(offset) ?? 0n
    },
    store: (offset, _size, value) => {
      log.push(`${offset.toString(16)}=${value.toString(16)}`)
      values.set(offset, value)
    },
  })
  const registers = new UnitRegisters(cpu, REGISTERS)
  const queue = new CommandBuffer({ unit: 'ivhd0', registers, cpu, pages })
  return { queue, pages, seen, log, values }
}

test('tells the unit where the ring is, with the buffer off and its pointers at 0', () => {
  const { queue, log } = world()
  queue.start()
  const base = (BigInt(queue.ring) | (9n << 56n)).toString(16)
  expect(log).toEqual([`8=${base}`, '18=0', '2000=0', '2008=0', '18=1000'])
})
test('waits for what was queued since the last wait, by one COMPLETION_WAIT', () => {
  const { queue, seen } = world()
  queue.start()
  queue.wait()
  expect(seen).toEqual([])
  queue.submit([DEVICE, { kind: 'all' }])
  queue.submit([DEVICE])
  queue.wait()
  queue.wait()
  expect(seen).toEqual([2, 8, 2, 1])
})
test('more commands than the ring has room for go through', () => {
  const { queue, seen } = world()
  queue.start()
  queue.submit(Array.from({ length: 2000 }, () => DEVICE))
  queue.wait()
  expect(seen).toHaveLength(2001)
})
test('a unit that does not take its commands is broken, and told so', () => {
  const { queue } = world(true)
  queue.start()
  queue.submit([DEVICE])
  expect(() => queue.wait()).toThrow('ivhd0: Completion-Wait loop timed out at command 0x0')
  expect(() => queue.submit(Array.from({ length: 600 }, () => DEVICE))).toThrow('ivhd0: command buffer timeout')
})
test('memory that cannot be had leaves none taken; what was taken is given back', () => {
  const { queue, pages } = world()
  const before = pages.allocated
  pages.failAfter = 2
  expect(
    () => new CommandBuffer({ unit: 'x', pages } as unknown as ConstructorParameters<typeof CommandBuffer>[0]),
  ).toThrow('ENOMEM')
  expect(pages.allocated).toBe(before)
  queue.close()
  expect(pages.allocated).toBe(0)
})
