import { expect, test } from 'vitest'
import { Area, protOf } from './area.ts'
import type { Pages } from './pages.ts'

const pagesOf = (kind: Pages['kind']): Pages => ({ kind, owner: { addressSpace: { pageBytes: 4096 } } }) as Pages

test('knows its rights, its accesses and that it closes, apart from each other', () => {
  const area = new Area(pagesOf('user'), 0, 0, 6)
  for (let i = 0; i < 100_000; i++) area.addAccess(1)
  area.close()
  for (let i = 0; i < 99_999; i++) area.addAccess(-1)
  expect([area.rights, area.closing, area.accesses]).toEqual([6, true, 1])
})

test('a part of it begins in the page and at the byte where that part lies', () => {
  const area = new Area(pagesOf('user'), 5, 0x800, 4)
  const { page, offset, rights } = area.from(0x1900n)
  expect([page, offset, rights, area.pageAt(0x1900), area.pageAt(0)]).toEqual([7, 0x100, 4, 7, 5])
})

test('a domain is told its rights, and that device memory is no memory', () => {
  expect(protOf(new Area(pagesOf('file'), 0, 0, 4))).toEqual({ read: true, write: false })
  expect(protOf(new Area(pagesOf('dma-buf'), 0, 0, 6))).toEqual({ read: true, write: true, mmio: true })
  expect(protOf(new Area(pagesOf('user'), 0, 0, 0))).toEqual({ read: false, write: false })
})
