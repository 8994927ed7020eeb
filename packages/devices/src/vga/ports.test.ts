import { expect, test } from 'vitest'
import { portWindow } from './ports.ts'

test('a word at the end of a run is one byte and ones, and its upper byte is not written on', () => {
  const written: [number, number][] = []
  const window = portWindow({ read: (port) => port & 0xff, write: (port, value) => written.push([port, value]) })
  expect([window.load(0x3c0, 2), window.load(0x3cf, 2), window.load(0x3d0, 2)]).toEqual([0xc1c0n, 0xffcfn, 0xffffn])
  window.store(0x3c4, 2, 0x0201n)
  window.store(0x3da, 2, 0x0403n)
  window.store(0x3b0, 1, 5n)
  window.store(0x3c0, 4, 6n)
  expect(written).toEqual([
    [0x3c4, 1],
    [0x3c5, 2],
    [0x3da, 3],
  ])
})
