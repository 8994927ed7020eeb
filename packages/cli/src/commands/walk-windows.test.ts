import { Bus, DMA, DmaRequest, hiWord, IommuGroups, loWord, Pci, split } from '@ioasis/core'
import { powerHost } from '@ioasis/hosts'
import { expect, test } from 'vitest'
import { mapInWindow, parseWindow } from './walk-windows.ts'

function world(machine: string, name: string) {
  const host = powerHost(machine)
  const fn = host.get(Pci).functions.find((one) => one.name === name)
  if (!fn) throw new Error(`no ${name}`)
  const group = host.get(IommuGroups).of(fn)
  if (!group) throw new Error(`${name} is in no group`)
  const translate = (iova: bigint, write = false): number => {
    const request = new DmaRequest(fn.requester)
    split(iova)
    request.iovaHi = hiWord()
    request.iovaLo = loWord()
    request.length = 1
    request.access = write ? 2 : 1
    return host.get(Bus).unitOf(fn.segment, fn.requester)?.translate(request) ?? -1
  }
  return { host, group, translate }
}

test('a window is named by its shift, bytes and levels', () => {
  expect(parseWindow('16:1G:3')).toEqual({ pageShift: 16, bytes: 1n << 30n, levels: 3 })
  expect(parseWindow('12:0x1000')).toEqual({ pageShift: 12, bytes: 4096n, levels: 1 })
  for (const bad of ['1G', '16', '16:1G:3:4', 'x:1G']) expect(() => parseWindow(bad)).toThrow(/--window/)
})
test('the preset window holds what is mapped low, another one what is mapped high', () => {
  const { host, group, translate } = world('powernv10', '0001:01:00.0')
  const high = 1n << 59n
  const map = ['0x10000:8K', '0x800000000010000:64K']
  mapInWindow(host, group, { map, readOnly: false, window: parseWindow('16:1G:2') })
  expect([0x10000n, 0x11000n, high + 0x1_ffffn].map((iova) => translate(iova))).toEqual([DMA.OK, DMA.OK, DMA.OK])
  expect(translate(0x12000n)).not.toBe(DMA.OK)
})
test('read-only stays read-only', () => {
  const { host, group, translate } = world('pseries', '0000:00:01.0')
  mapInWindow(host, group, { map: ['0x2000:4K'], readOnly: true })
  expect(translate(0x2000n)).toBe(DMA.OK)
  expect(translate(0x2000n, true)).not.toBe(DMA.OK)
})
const mapped = (map: readonly string[], window?: string): (() => void) => {
  const { host, group } = world('powernv10', '0001:01:00.0')
  const options = window === undefined ? {} : { window: parseWindow(window) }
  return () => mapInWindow(host, group, { map, readOnly: false, ...options })
}
test('what cannot be is told in the words of the command line', () => {
  expect(mapped(['0x10000'])).toThrow(/IOVA:BYTES/)
  expect(mapped(['0x10000:100'])).toThrow(/whole pages of 4096 bytes/)
  expect(mapped(['0x100000000:4K'])).toThrow(/no window holds 0x100000000/)
  expect(mapped([], '16:1G:9')).toThrow(/--window: the platform has no such window: EINVAL/)
})
