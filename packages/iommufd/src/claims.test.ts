import { AuditSource, type Claim } from '@ioasis/core'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { World } from './world.test-kit.ts'

let world: World
beforeEach(() => {
  world = new World()
})
afterEach(() => world.end())
const claims = (near?: { first: bigint; last: bigint }): readonly Claim[] =>
  world.host
    .all(AuditSource)
    .find((source) => source.name === 'iommufd')
    ?.claims(near) ?? []

test('every range that a domain maps is kept by a pin, for each domain', () => {
  const fd = world.open()
  const ioas = world.ioas(fd)
  const device = world.bind(fd, 'a')
  device.attach(ioas)
  world.hwpt(fd, device.id, ioas)
  world.map(fd, ioas, world.memory(3), 3 * 4096, 0x10000n)
  world.map(fd, ioas, world.memory(1), 4096, 0x80000n)
  const bytes = (near?: { first: bigint; last: bigint }): readonly bigint[] =>
    world.domains.map((domain) =>
      claims(near).reduce((sum, c) => (c.kind === 'kept' && c.domain === domain ? sum + c.bytes : sum), 0n),
    )
  expect([bytes(), bytes({ first: 0x80000n, last: 0x80000n })]).toEqual([
    [0x4000n, 0x4000n],
    [0x1000n, 0x1000n],
  ])
  device.unbind()
})

test('counts agree, and nothing is claimed once everything is closed', () => {
  const fd = world.open()
  const ioas = world.ioas(fd)
  const device = world.bind(fd, 'a')
  device.attach(ioas)
  world.map(fd, ioas, world.memory(2), 8192, 0x10000n)
  const counts = claims().filter((c) => c.kind === 'count')
  expect(counts.length).toBeGreaterThan(3)
  expect(counts.filter((c) => c.actual !== c.expected)).toEqual([])
  device.unbind()
  world.client.close(fd)
  expect(claims()).toEqual([])
})
