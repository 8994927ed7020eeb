import { expect, test } from 'vitest'
import { REG } from '../spec/registers.ts'
import { CAP, ECAP } from './bare-unit.test-kit.ts'
import { capabilitiesOf } from './capabilities.ts'
import { EventInterrupt } from './event-interrupt.ts'
import { vtdRegisters } from './registers.ts'

function event(): { sent: string[]; control: (value: bigint) => void; read: () => bigint; interrupt: EventInterrupt } {
  const registers = vtdRegisters(capabilitiesOf(CAP, ECAP | (1n << 29n), 46), 0x10)
  const sent: string[] = []
  const names = { control: 'PECTL', data: 'PEDATA', address: 'PEADDR', upper: 'PEUADDR' } as const
  const interrupt = new EventInterrupt(registers, names, (address, data) =>
    sent.push(`${address.toString(16)}=${data.toString(16)}`),
  )
  registers.store(REG.PEADDR, 4, 0xfee0_3004n)
  registers.store(REG.PEDATA, 4, 0x61n)
  return {
    sent,
    interrupt,
    control: (value) => registers.store(REG.PECTL, 4, value),
    read: () => registers.load(REG.PECTL, 4),
  }
}

test('is sent at once while it is not masked', () => {
  const { sent, interrupt, control, read } = event()
  control(0n)
  interrupt.request()
  expect([sent, read()]).toEqual([['fee03004=61'], 0n])
})
test('is kept behind the mask, once, and sent when the mask is cleared', () => {
  const { sent, interrupt, control, read } = event()
  interrupt.request()
  interrupt.request()
  expect([sent, read()]).toEqual([[], 0xc000_0000n])
  control(0n)
  control(0n)
  expect(sent).toEqual(['fee03004=61'])
})
test('is not sent any more after it was withdrawn', () => {
  const { sent, interrupt, control } = event()
  interrupt.request()
  interrupt.withdraw()
  control(0n)
  expect(sent).toEqual([])
})
