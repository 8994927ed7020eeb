import { expect, test } from 'vitest'
import { FailurePoints } from './failure-points.ts'

test('the n-th point fails, once', () => {
  const points = new FailurePoints()
  points.pass('one')
  points.arm(2)
  points.pass('two')
  expect(() => points.pass('three')).toThrow('three: ENOMEM')
  points.pass('four', 'table')
  expect([...points.passed]).toEqual([
    ['object', 2],
    ['table', 1],
  ])
  expect(points.disarm()).toEqual({ kind: 'object', what: 'three' })
  points.pass('five')
  expect(points.passed.get('object')).toBe(2)
})
test('kinds that nobody asked for neither fail nor count', () => {
  const points = new FailurePoints()
  points.arm(1, ['copy-out'])
  points.pass('object')
  expect([points.fails('back', 'copy-out'), points.fails('back', 'copy-out'), points.passed.size]).toEqual([
    true,
    false,
    1,
  ])
})
test('a pin that failed fails again until it is disarmed', () => {
  const points = new FailurePoints()
  points.arm(2)
  expect([1, 2, 3].map(() => points.fails('page', 'pin'))).toEqual([false, true, true])
  points.pass('other')
  points.arm(Infinity)
  expect(points.fails('page', 'pin')).toBe(false)
})
