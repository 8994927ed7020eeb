import { EventFd } from '@ioasis/core'
import { expect, test } from 'vitest'
import { watchEvent } from './event-watch.ts'

test('acts on what was signalled before, and on each signal after', () => {
  const event = new EventFd({ initial: 3n })
  let acts = 0
  const stop = watchEvent(event, () => acts++)
  event.signal()
  expect([acts, event.count]).toEqual([2, 0n])
  stop()
  event.signal()
  expect([acts, event.count]).toEqual([2, 1n])
})
test('lets go of a counter whose last descriptor is closed', () => {
  const event = new EventFd()
  watchEvent(event, () => undefined)
  event.release()
  expect(event.waitQueue.waiting).toBe(0)
})
test('an action that signals the counter it waits for runs once', () => {
  const event = new EventFd()
  let acts = 0
  watchEvent(event, () => {
    acts++
    event.signal()
  })
  event.signal()
  expect([acts, event.count]).toEqual([1, 0n])
})
