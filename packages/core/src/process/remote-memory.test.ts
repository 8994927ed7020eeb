import { expect, test } from 'vitest'
import { RemoteMemory } from './remote-memory.ts'

test('copies, and fails at the chosen byte or at its end', () => {
  const remote = new RemoteMemory(16)
  expect(remote.write(14, Uint8Array.of(1, 2, 3))).toBe(2)
  remote.failAt = 15
  const into = new Uint8Array(4)
  expect([remote.read(12, into), [...into], remote.read(15, into), remote.read(20, into)]).toEqual([
    3,
    [0, 0, 1, 0],
    0,
    0,
  ])
})
