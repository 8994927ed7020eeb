import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { entryOf, headerCalls, supportPage } from './support.test-kit.ts'

const PAGE = fileURLToPath(new URL('../../../docs/support.md', import.meta.url))

test('docs/support.md is what the tables make of it: node tools/support.mjs writes it anew', async () => {
  await expect(supportPage()).toMatchFileSnapshot(PAGE)
}, 30_000)
test('every call of the headers is there, and none without a reason', () => {
  const names = headerCalls().map(({ name }) => name)
  expect([names.length, new Set(names).size]).toEqual([74, 74])
  expect(() => entryOf('VFIO_SOMETHING_NEW', undefined)).toThrow('nobody says why')
})
