import { POLL, WaitQueue } from '@ioasis/core'
import { expect, test } from 'vitest'
import { IommufdContext } from './context.ts'
import { EventFile, type EventQueue } from './event-file.ts'

const queue = (): EventQueue => ({
  kind: 'veventq',
  id: 1,
  users: 0,
  waitQueue: new WaitQueue(),
  hasWaiting: true,
  read: (bytes) => bytes,
  destroy: () => {},
})
const caller = { process: undefined as never }

test('a file keeps its queue and its context, and gives both back', () => {
  let ended = 0
  const context = new IommufdContext(
    { groups: undefined as never, pageBytes: 4096, test: false },
    'user',
    () => ended++,
  )
  const events = queue()
  const file = new EventFile(context, events)
  context.release()
  expect([events.users, ended]).toEqual([1, 0])
  file.release()
  expect([events.users, ended]).toEqual([0, 1])
})

test('only a queue that takes answers is ever ready for writing', () => {
  const context = new IommufdContext({ groups: undefined as never, pageBytes: 4096, test: false }, 'user')
  const reads = new EventFile(context, queue())
  const writes = new EventFile(context, { ...queue(), write: (bytes) => bytes })
  expect([reads.poll(), writes.poll()]).toEqual([POLL.IN, POLL.IN | POLL.OUT])
  expect(() => reads.write(caller, new Uint8Array(8))).toThrow('EINVAL')
  expect(writes.write(caller, new Uint8Array(8))).toBe(8)
})
