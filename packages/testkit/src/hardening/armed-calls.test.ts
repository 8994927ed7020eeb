import { createHost, FAILURE_KINDS, Failures, Processes, SystemCalls } from '@ioasis/core'
import { expect, test } from 'vitest'
import { ArmedCalls } from './armed-calls.ts'

test('points count inside the system calls of a step, and nowhere else', () => {
  const host = createHost()
  const calls = new SystemCalls(host, host.get(Processes).spawn())
  const points = host.get(Failures)
  const armed = new ArmedCalls(calls, points)
  armed.run(Infinity, FAILURE_KINDS, () => {
    calls.eventfd()
    points.pass('between')
  })
  expect([...points.passed]).toEqual([['descriptor', 1]])
  expect(() => armed.run(1, FAILURE_KINDS, () => calls.memfd(4096))).toThrow('ENOMEM')
  expect(calls.memfd(4096)).toBe(1)
  host.close()
})
