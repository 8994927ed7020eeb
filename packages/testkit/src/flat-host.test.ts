import { pageRuns } from '@ioasis/core'
import { expect, test } from 'vitest'
import { FlatDomain } from './flat-domain.ts'
import { FlatHost } from './flat-host.ts'

test('a requester reaches what its attachment allows', () => {
  const host = new FlatHost()
  const domain = new FlatDomain()
  domain.map(0x1000n, pageRuns([0x8000, 0x1000]), { read: true, write: false })
  host.attach(0x10, domain)
  host.attach(0x18, 'identity')
  expect(host.lands(0x10, 0x1004n, false)).toBe(0x8004)
  expect(host.lands(0x10, 0x1004n, true)).toBeUndefined()
  expect(host.lands(0x18, 0x1004n, true)).toBe(0x1004)
  expect(host.lands(0x20, 0x1004n, false)).toBeUndefined()
  expect(host.users(domain)).toEqual([0x10])
})

test('a function that is gone reaches nothing', () => {
  const host = new FlatHost()
  host.attach(0x10, 'identity')
  host.remove(0x10)
  expect(host.lands(0x10, 0n, false)).toBeUndefined()
})
