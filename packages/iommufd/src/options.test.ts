import { afterEach, beforeEach, expect, test } from 'vitest'
import { IOMMU_OPTION, OPTION, OPTION_OP } from './uapi.ts'
import { errnoOf, World } from './world.test-kit.ts'

let world: World
let fd: number
beforeEach(() => {
  world = new World()
  fd = world.open()
})
afterEach(() => world.host.close())
const option = (values: object, client = world.client): bigint => client.ioctl(fd, IOMMU_OPTION, values).val64
const { RLIMIT_MODE, HUGE_PAGES } = OPTION
const { SET, GET } = OPTION_OP

test('the mode of counting pins changes while there is no object', () => {
  expect(option({ option_id: RLIMIT_MODE, op: GET })).toBe(0n)
  expect(option({ option_id: RLIMIT_MODE, op: SET, val64: 1n })).toBe(1n)
  expect(option({ option_id: RLIMIT_MODE, op: GET })).toBe(1n)
  world.ioas(fd)
  expect(errnoOf(() => option({ option_id: RLIMIT_MODE, op: SET, val64: 1n }))).toBe('EBUSY')
})

test.each([
  ['an object for what has none', { option_id: RLIMIT_MODE, op: GET, object_id: 1 }, 'EOPNOTSUPP'],
  ['an unknown operation', { option_id: RLIMIT_MODE, op: 2 }, 'EOPNOTSUPP'],
  ['an unknown mode', { option_id: RLIMIT_MODE, op: SET, val64: 2n }, 'EINVAL'],
  ['an unknown option', { option_id: 2, op: GET }, 'EOPNOTSUPP'],
  ['a reserved member', { option_id: RLIMIT_MODE, op: GET, __reserved: 1 }, 'EOPNOTSUPP'],
  ['an IOAS that is none', { option_id: HUGE_PAGES, op: GET, object_id: 9 }, 'ENOENT'],
] as const)('refuses %s', (_, values, errno) => {
  expect(errnoOf(() => option(values))).toBe(errno)
})

test('huge pages are on or off, for one IOAS', () => {
  const object_id = world.ioas(fd)
  const huge = { option_id: HUGE_PAGES, object_id }
  expect([option({ ...huge, op: GET }), option({ ...huge, op: SET, val64: 0n }), option({ ...huge, op: GET })]).toEqual(
    [1n, 0n, 0n],
  )
  expect(errnoOf(() => option({ ...huge, op: SET, val64: 2n }))).toBe('EINVAL')
  expect(errnoOf(() => option({ ...huge, op: 2 }))).toBe('EOPNOTSUPP')
})

test('setting the mode needs CAP_SYS_RESOURCE, looking at it does not', () => {
  world.client.process.credentials = { uid: 65534, gid: 65534, capabilities: new Set() }
  expect(errnoOf(() => option({ option_id: RLIMIT_MODE, op: SET, val64: 1n }))).toBe('EPERM')
  expect(option({ option_id: RLIMIT_MODE, op: GET })).toBe(0n)
})
