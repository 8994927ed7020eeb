import { expect, test } from 'vitest'
import { allOf, Completion, REMOVED } from './completion.ts'

test('what waits runs once it is finished, and at once afterwards', () => {
  const completion = new Completion()
  const ran: number[] = []
  completion.onDone(() => ran.push(1))
  expect([completion.done, ran]).toEqual([false, []])
  completion.finish()
  completion.onDone(() => ran.push(2))
  expect([completion.done, ran]).toEqual([true, [1, 2]])
})
test('finishing twice is a broken promise', () => {
  const completion = new Completion()
  completion.finish()
  expect(() => completion.finish()).toThrow('finished twice')
})
test('all of several are done with the last one; none at all are done', () => {
  const [a, b] = [new Completion(), new Completion()]
  const all = allOf([a, REMOVED, b])
  b.finish()
  expect(all.done).toBe(false)
  a.finish()
  expect([all.done, allOf([]).done]).toEqual([true, true])
})
