import { RegionPages } from '@ioasis/core'
import { beforeEach, expect, test } from 'vitest'
import { MmapAreas } from './mmap-areas.ts'
import type { IommufdObject } from './object.ts'
import { errnoOf } from './world.test-kit.ts'

let areas: MmapAreas
let holders = 0
const file = { hold: () => holders++, release: () => holders-- }
beforeEach(() => void (areas = new MmapAreas(4096, file)))
const owner = (): IommufdObject => ({ kind: 'viommu', id: 1, users: 0, destroy: () => {} })
const object = new RegionPages({ name: 'two', first: 0x8000, bytes: 8192, pageBytes: 4096, pinnable: false })
const pages = { kind: 'pages', object, firstPage: 0 } as const
const ask = (offset: bigint, bytes: bigint, shared = true): unknown =>
  areas.map({ offset, bytes, read: true, write: true, shared })

test('offsets are the lowest that fit, from the second page on', () => {
  const one = owner()
  expect([areas.offer(one, pages, 8192), areas.offer(one, pages, 4096)]).toEqual([0x1000n, 0x3000n])
  areas.takeBack(one, 0x1000n)
  expect([areas.offer(one, pages, 12288), areas.offer(one, pages, 4096)]).toEqual([0x4000n, 0x1000n])
})

test('only the whole of an offer is mapped, and shared', () => {
  const at = areas.offer(owner(), pages, 8192)
  expect(ask(at, 8192n)).toMatchObject({ kind: 'pages', firstPage: 0 })
  expect(errnoOf(() => ask(at, 4096n))).toBe('ENXIO')
  expect(errnoOf(() => ask(at + 4096n, 8192n))).toBe('ENXIO')
  expect(errnoOf(() => ask(0n, 8192n, false))).toBe('EINVAL')
})

test('what is mapped keeps its owner and the file', () => {
  const one = owner()
  const mapping = areas.map({
    offset: areas.offer(one, pages, 8192),
    bytes: 8192n,
    read: true,
    write: true,
    shared: true,
  })
  if (mapping.kind !== 'pages') throw new Error('pages were offered')
  mapping.object.hold()
  expect([one.users, holders, mapping.object.peek(1), mapping.object.fault(0)]).toEqual([1, 1, 0x9000, 0x8000])
  mapping.object.release()
  expect([one.users, holders]).toEqual([0, 0])
})

test('part of a page cannot be offered, and nobody takes back what is not his', () => {
  expect(errnoOf(() => areas.offer(owner(), pages, 100))).toBe('EINVAL')
  const at = areas.offer(owner(), pages, 4096)
  expect(() => areas.takeBack(owner(), at)).toThrow('was not offered')
})
