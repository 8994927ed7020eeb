import { expect, test } from 'vitest'
import { VirtualClock } from './clock.ts'

test('timers run in order of their time, those set meanwhile too', () => {
  const clock = new VirtualClock()
  const log: string[] = []
  clock.at(30, () => log.push(`c at ${clock.now()}`))
  clock.at(10, () => {
    log.push(`a at ${clock.now()}`)
    clock.at(20, () => log.push(`b at ${clock.now()}`))
  })
  clock.advance(25)
  expect(log).toEqual(['a at 10', 'b at 20'])
  expect([clock.now(), clock.pending]).toEqual([25, 1])
})

test('timers of one moment run in the order they were set', () => {
  const clock = new VirtualClock()
  const log: number[] = []
  clock.at(5, () => log.push(1))
  clock.at(5, () => log.push(2))
  clock.advance(5)
  expect(log).toEqual([1, 2])
})

test('a cancelled timer does not run, and cancelling twice is harmless', () => {
  const clock = new VirtualClock()
  const cancel = clock.at(1, () => expect.unreachable())
  cancel()
  cancel()
  clock.advance(2)
})

test('time does not go back', () => {
  const clock = new VirtualClock()
  expect(() => clock.advance(-1)).toThrow('clock: cannot advance by -1 ms')
  expect(() => clock.advance(Number.NaN)).toThrow(RangeError)
})
