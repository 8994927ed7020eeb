import { describe, expect, test } from 'vitest'
import { Trace } from '../trace.ts'
import type { InterruptMessage } from './interrupt.ts'
import { InterruptController } from './interrupt-controller.ts'

const message = (vector: number): InterruptMessage => ({ vector, dest: 0, destMode: 'physical', deliveryMode: 0 })

describe('vectors', () => {
  test('one that nobody handles is pending, once', () => {
    const interrupts = new InterruptController()
    for (const vector of [0x41, 0x40, 0x41]) interrupts.deliver(message(vector))
    expect(interrupts.pending).toEqual([0x40, 0x41])
  })
  test('one with handlers reaches all of them and is not pending', () => {
    const interrupts = new InterruptController()
    const got: number[] = []
    const stop = interrupts.handle(0x40, ({ vector }) => got.push(vector))
    interrupts.handle(0x40, ({ vector }) => got.push(-vector))
    interrupts.deliver(message(0x40))
    stop()
    interrupts.deliver(message(0x40))
    expect([got, interrupts.pending]).toEqual([[0x40, -0x40, -0x40], []])
  })
  test('are handed out from 0x21 to 0xfe, lowest free first', () => {
    const interrupts = new InterruptController()
    const all = Array.from({ length: 0xfe - 0x21 + 1 }, () => interrupts.allocate())
    expect([all[0], all.at(-1)]).toEqual([0x21, 0xfe])
    expect(() => interrupts.allocate()).toThrow(RangeError)
    interrupts.free(0x77)
    expect([interrupts.allocate(), interrupts.allocated]).toEqual([0x77, 222])
  })
  test('one that is given back takes nothing pending along', () => {
    const interrupts = new InterruptController()
    const vector = interrupts.allocate()
    interrupts.deliver(message(vector))
    interrupts.free(vector)
    expect(interrupts.pending).toEqual([])
  })
  test('deliveries are traced', () => {
    const trace = new Trace()
    const seen: unknown[] = []
    trace.on('interrupt', (event) => seen.push(event))
    new InterruptController(trace).deliver({ ...message(0x40), dest: 3 })
    expect(seen).toEqual([{ vector: 0x40, dest: 3 }])
  })
})

test('lines are kept by function and pin', () => {
  const interrupts = new InterruptController()
  const a = { segment: 0, bdf: 8, pin: 1 } as const
  const b = { segment: 0, bdf: 8, pin: 2 } as const
  interrupts.setLine(a, true)
  interrupts.setLine(b, true)
  interrupts.setLine(a, false)
  expect([interrupts.lineAsserted(a), interrupts.lineAsserted(b)]).toEqual([false, true])
})
test('who watches a line hears each rising edge of any pin of the function', () => {
  const interrupts = new InterruptController()
  const line = { segment: 0, bdf: 8, pin: 1 } as const
  const heard: string[] = []
  const stop = interrupts.watchLine(line, () => heard.push('one'))
  interrupts.watchLine(line, () => heard.push('two'))
  interrupts.setLine(line, true)
  interrupts.setLine(line, true)
  interrupts.setLine({ ...line, bdf: 16 }, true)
  stop()
  interrupts.setLine(line, false)
  interrupts.setLine({ ...line, pin: 2 }, true)
  expect(heard).toEqual(['one', 'two', 'two'])
})
