import { beforeEach, expect, test } from 'vitest'
import { type FirmwareCall, FirmwareLog } from './firmware-log.ts'

let log: FirmwareLog
beforeEach(() => {
  log = new FirmwareLog()
  log.wanted = true
})

const stuff = (ioba: bigint, npages: number, ret = 0): FirmwareCall => ({
  call: 'H_STUFF_TCE',
  args: { liobn: 1, ioba, value: 0n, npages },
  ret,
  lastIoba: ioba + BigInt(npages) * 0x1000n,
})
const pair = (ioba: bigint, tce = 0n): void => {
  log.add({ call: 'H_GET_TCE', args: { liobn: 1, ioba, tce }, ret: 0 })
  log.add({ call: 'H_PUT_TCE', args: { liobn: 1, ioba, tce: 0n }, ret: 0 })
}
const names = (): unknown => log.calls.map(({ call, calls }) => [call, calls])

test('nothing is written down while nobody wants it, and all is forgotten on demand', () => {
  log.wanted = false
  log.add(stuff(0n, 2))
  expect(log.calls).toEqual([])
  log.wanted = true
  log.add(stuff(0n, 2))
  log.clear()
  expect(log.calls).toEqual([])
})
test('calls in between may be left out', () => {
  expect(log.unwritten(() => (log.add(stuff(0n, 2)), 5))).toBe(5)
  log.add(stuff(0n, 3))
  expect(log.calls).toMatchObject([{ args: { npages: 3 } }])
})
test('stuffing that goes on where the last call stopped is one run', () => {
  log.add(stuff(0n, 2))
  log.add(stuff(0x2000n, 2))
  expect(log.calls).toMatchObject([{ calls: 2, lastIoba: 0x4000n, args: { ioba: 0n } }])
})
test.each([
  ['leaves a hole', stuff(0x3000n, 2)],
  ['is of another length', stuff(0x2000n, 1)],
  ['is refused', stuff(0x2000n, 2, -4)],
])('stuffing that %s is a call of its own', (_, second) => {
  log.add(stuff(0n, 2))
  log.add(second)
  expect(log.calls).toHaveLength(2)
})
test('reading zero and writing zero, page after page, is one scan', () => {
  pair(0n)
  pair(0x1000n)
  pair(0x2000n)
  expect(log.calls).toMatchObject([{ call: 'scan-clear', calls: 3, lastIoba: 0x2000n, args: { ioba: 0n } }])
})
test('an entry that was not empty, or pages of another size, end a scan', () => {
  pair(0n)
  pair(0x1000n)
  pair(0x3000n)
  pair(0x4000n, 0x5003n)
  expect(names()).toEqual([
    ['scan-clear', 2],
    ['scan-clear', 1],
    ['H_GET_TCE', undefined],
    ['H_PUT_TCE', undefined],
  ])
})
