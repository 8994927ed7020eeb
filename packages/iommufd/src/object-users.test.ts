import { AuditSource } from '@ioasis/core'
import { expect, test } from 'vitest'
import { HWPT_FLAG } from './uapi.ts'
import { World } from './world.test-kit.ts'

test('the audit notices an object that has another number of users than use it', () => {
  const world = new World({ advanced: true })
  const fd = world.open()
  const device = world.bind(fd, 'a')
  const ioas = world.ioas(fd)
  const parent = world.hwpt(fd, device.id, ioas, HWPT_FLAG.NEST_PARENT)
  device.attach(parent)
  world.access(fd).attach(ioas)
  world.audit()
  const claims = world.host.all(AuditSource).flatMap((source) => source.claims())
  const users = claims.flatMap((c) =>
    c.kind === 'count' && c.what.includes('users of') ? [[c.what.slice(18), c.actual, c.expected]] : [],
  )
  expect(users).toEqual([
    ['device 1', 2, 2],
    ['ioas 2', 2, 2],
    ['hwpt-paging 3', 1, 1],
    ['access 4', 1, 1],
  ])
})
