import { describe, expect, test } from 'vitest'
import { UapiError } from '../errno.ts'
import { _IO } from './ioctl-number.ts'
import { ioctlCall, IOMMUFD_CONVENTION, type IoctlRow, type IoctlTable } from './ioctl-row.ts'
import { ret, rig, Toy } from './rig.test-kit.ts'
import type { TypeOf } from '../c-struct.ts'

const MAP = ioctlCall('MAP', _IO(';', 0x85), Toy)
const CHECK = ioctlCall('CHECK', _IO(';', 0x65))

const map: IoctlRow<unknown, TypeOf<typeof Toy>> = {
  call: MAP,
  run: (_file, { size, flags, value }) => {
    if (flags !== 0) throw new UapiError('EOPNOTSUPP', 'MAP', { flags }, { out_id: 9 })
    return { ret: 4, out: { out_id: Number(value) + size } }
  },
}
const table: IoctlTable = {
  file: 'toy',
  convention: IOMMUFD_CONVENTION,
  rows: [map, { call: CHECK, run: (_file, _input, _caller, arg) => ({ ret: Number(arg) * 2 }) }],
}

describe('a typed call', () => {
  test('fills in the size and answers the struct', () => {
    const { client, fd } = rig(table)
    const { out_id, value } = client.ioctl(fd, MAP, { value: 10n })
    expect([out_id, value]).toEqual([34, 10n])
  })
  test('throws what it is refused with', () => {
    const { client, fd } = rig(table)
    expect(ret(() => void client.ioctl(fd, MAP, { flags: 1 }))).toBe('EOPNOTSUPP')
  })
  test('can be attempted: then the errno and what was written back are told', () => {
    const { client, fd } = rig(table)
    const refused = client.attempt(fd, MAP, { flags: 1 })
    expect([refused.ret, refused.errno, refused.out.out_id]).toEqual([-1, 'EOPNOTSUPP', 9])
    const done = client.attempt(fd, MAP, { value: 1n })
    expect([done.ret, done.errno, done.out.out_id]).toEqual([4, undefined, 25])
  })
  test('answers what it returns where that is what counts', () => {
    const { client, fd } = rig(table)
    expect([client.ioctlRet(fd, MAP, {}), client.ioctl(fd, CHECK, 21), client.ioctl(fd, CHECK.number, 4n)]).toEqual([
      4, 42, 8,
    ])
  })
  test('counts bytes behind the struct in its size', () => {
    const { client, fd } = rig(table)
    const answer = client.attempt(fd, MAP, {}, new Uint8Array(100_000))
    expect([answer.out.out_id, answer.bytes.length]).toEqual([100_024, 100_024])
  })
})

test('a child goes on with buffers of its own', () => {
  const { client, fd } = rig(table)
  const text = client.putText('0000:01:00.0')
  const child = client.fork()
  child.ioctl(fd, MAP, { value: 2n })
  child.poke(text, Uint8Array.from([0x58]))
  expect([String.fromCharCode(...client.peek(text, 4)), String.fromCharCode(...child.peek(text, 4))]).toEqual([
    '0000',
    'X000',
  ])
})
