import { describe, expect, test } from 'vitest'
import { type FileOps } from './file/file-ops.ts'
import { POLL } from './wait.ts'
import { EventFd, WaitQueue } from './wait.ts'

const FULL = (1n << 64n) - 1n
const u64 = (value: bigint): Uint8Array => new Uint8Array(BigUint64Array.of(value).buffer)
const readOf = (fd: EventFd): bigint => {
  const into = new Uint8Array(8)
  fd.read(undefined, into)
  return new DataView(into.buffer).getBigUint64(0, true)
}

describe('a wait queue', () => {
  test('wakes in the order of arrival, each time, until stopped', () => {
    const queue = new WaitQueue()
    const seen: string[] = []
    const stop = queue.listen((events) => seen.push(`a ${events}`))
    queue.listen((events) => seen.push(`b ${events}`))
    queue.wake(1)
    stop()
    stop()
    queue.wake(4)
    expect(seen).toEqual(['a 1', 'b 1', 'b 4'])
    expect(queue.waiting).toBe(1)
  })
  test('keeps two registrations of one function apart', () => {
    const queue = new WaitQueue()
    let calls = 0
    const listener = (): void => {
      calls++
    }
    const stop = queue.listen(listener)
    queue.listen(listener)
    stop()
    queue.wake(1)
    expect(calls).toBe(1)
  })
  test('does not call, in the same wake-up, who was stopped or added by a listener', () => {
    const queue = new WaitQueue()
    const seen: string[] = []
    queue.once(() => {
      seen.push('first')
      stopSecond()
      queue.once(() => seen.push('third'))
    })
    const stopSecond = queue.listen(() => seen.push('second'))
    queue.wake(1)
    expect(seen).toEqual(['first'])
    queue.wake(1)
    queue.wake(1)
    expect(seen).toEqual(['first', 'third'])
  })
})

describe('an eventfd', () => {
  test('counts signals until they are read', () => {
    const fd = new EventFd()
    fd.signal()
    fd.signal()
    expect(fd.poll()).toBe(POLL.IN | POLL.OUT)
    expect(readOf(fd)).toBe(2n)
    expect(fd.poll()).toBe(POLL.OUT)
    expect(() => readOf(fd)).toThrow('eventfd read: EAGAIN')
  })
  test('as a semaphore gives one at a time', () => {
    const fd = new EventFd({ initial: 2n, semaphore: true })
    expect([readOf(fd), readOf(fd), fd.count]).toEqual([1n, 1n, 0n])
  })
  test('takes writes up to 2^64-2', () => {
    const fd = new EventFd()
    expect(fd.write(undefined, u64(FULL - 2n))).toBe(8)
    expect(() => fd.write(undefined, u64(FULL))).toThrow(/EINVAL/)
    expect(() => fd.write(undefined, u64(2n))).toThrow(/EAGAIN/)
    fd.write(undefined, u64(1n))
    expect([fd.count, fd.poll()]).toEqual([FULL - 1n, POLL.IN])
    fd.signal()
    fd.signal()
    expect([fd.count, fd.poll()]).toEqual([FULL, POLL.IN | POLL.ERR])
  })
  test('refuses buffers of less than 8 bytes', () => {
    const fd = new EventFd({ initial: 1n })
    expect(() => fd.read(undefined, new Uint8Array(7))).toThrow(/EINVAL/)
    expect(() => fd.write(undefined, new Uint8Array(7))).toThrow(/EINVAL/)
  })
  test('wakes its listeners when signalled, read and released', () => {
    const fd = new EventFd()
    const seen: number[] = []
    fd.waitQueue.listen((events) => seen.push(events))
    fd.signal()
    readOf(fd)
    fd.write(undefined, u64(1n))
    fd.release()
    expect(seen).toEqual([POLL.IN, POLL.OUT, POLL.IN, POLL.HUP])
    expect([fd.take(), fd.take()]).toEqual([1n, 0n])
  })
  test('is a file', () => {
    const file: FileOps = new EventFd({ initial: 5n })
    expect('ioctl' in file).toBe(false)
  })
})
