import { expect, test } from 'vitest'
import { Revocation } from './revocation.ts'

test('listeners hear of changes only, each until it stops', () => {
  const revocation = new Revocation(true)
  const heard: boolean[] = []
  const listener = (revoked: boolean): void => void heard.push(revoked)
  const first = revocation.listen(listener)
  revocation.listen(listener)
  revocation.set(true)
  revocation.set(false)
  first()
  revocation.set(true)
  expect(heard).toEqual([false, false, true])
  expect(revocation.revoked).toBe(true)
})
