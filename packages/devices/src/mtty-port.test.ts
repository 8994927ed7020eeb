import { describe, expect, test } from 'vitest'
import { MttyPort } from './mtty-port.ts'

function port() {
  const told = { count: 0 }
  return { told, port: new MttyPort(() => told.count++) }
}

describe('the queue', () => {
  test('loops back, overruns, and looks empty when it is full', () => {
    const { port: p } = port()
    for (let i = 0; i < 16; i++) p.write(0, i)
    expect([p.read(5), p.read(0)]).toEqual([0x60, 0])
    p.write(0, 16)
    expect(p.read(5) & 2).toBe(2)
  })
  test('FCR clears it, and without its enable bit it holds one byte', () => {
    const { port: p } = port()
    p.write(0, 1)
    p.write(2, 0x06)
    expect(p.read(5)).toBe(0x60)
    p.write(0, 2)
    p.write(0, 3)
    expect([p.read(5) & 2, p.read(0)]).toEqual([2, 2])
  })
})

describe('interrupts', () => {
  test('of received data come at the level, which FCR sets to 1', () => {
    const { port: p, told } = port()
    p.write(1, 1)
    p.write(0, 0x41)
    expect(told.count).toBe(0)
    p.write(2, 0xc7)
    p.write(0, 0x41)
    expect([told.count, p.read(2)]).toEqual([1, 0xc4])
  })
  test('of an empty queue come when they are enabled and when the last byte is read', () => {
    const { port: p, told } = port()
    p.write(1, 2)
    expect([told.count, p.read(2)]).toEqual([1, 0xc2])
    p.write(0, 1)
    p.read(0)
    expect(told.count).toBe(2)
  })
  test('of the modem come with its control bits', () => {
    const { port: p, told } = port()
    p.write(1, 8)
    p.write(4, 0x0b)
    expect([told.count, p.read(2)]).toEqual([2, 0xc1])
  })
})

test('the divisor is reached behind DLAB, which clears it; its bytes are ORed', () => {
  const { port: p } = port()
  p.write(3, 0x80)
  p.write(0, 0x0c)
  p.write(0, 0x01)
  p.write(1, 0x02)
  expect([p.read(0), p.read(1)]).toEqual([0x0d, 2])
  p.write(3, 0x03)
  expect([p.read(3), p.read(1)]).toEqual([3, 0])
})
test('clear to send follows the room in the queue with flow control', () => {
  const { port: p } = port()
  expect(p.read(6)).toBe(0xb3)
  p.write(4, 0x20)
  p.write(2, 0)
  p.write(0, 1)
  expect(p.read(6)).toBe(0xa2)
})
