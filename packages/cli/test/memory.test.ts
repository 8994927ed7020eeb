import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { node } from './command.test-kit.ts'

const CHILD = fileURLToPath(new URL('memory.child.mjs', import.meta.url))
const NOTHING = { violations: 0, pages: 0, timers: 0, vectors: 0, ports: 0 }

interface Told {
  readonly grown: number
  readonly left: object
}

test('1,000 hosts and 50 recorded machines, opened and closed, leave nothing behind', { timeout: 60_000 }, async () => {
  const { code, stdout, stderr } = await node(['--expose-gc', CHILD])
  expect([code, stderr]).toEqual([0, ''])
  const { first, lab } = JSON.parse(stdout) as { first: Told; lab: Told }
  expect(first.left).toEqual(NOTHING)
  expect(lab.left).toEqual(NOTHING)
  expect(first.grown).toBeLessThan(5 * 2 ** 20)
  expect(lab.grown).toBeLessThan(5 * 2 ** 20)
})
