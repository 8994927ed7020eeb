/** What a bridge reads out of tables that were written word by word. */
import { ACCESS, type Access, DmaRequest, HostMemory, TARGET } from '@ioasis/core'
import { beforeEach, describe, expect, test } from 'vitest'
import { REASON } from '../spec/fault-reason.ts'
import { tveOf } from '../spec/tve.ts'
import { Phb } from './phb.ts'

let memory: HostMemory
let phb: Phb
const request = new DmaRequest(0x108)

function ask(iova: bigint, access: Access = ACCESS.READ, length = 8): { status: number; hpa: number; bytes: number } {
  request.iovaHi = Number((iova >> 32n) & 0xffff_ffffn) | 0
  request.iovaLo = Number(iova & 0xffff_ffffn) | 0
  request.access = access
  request.length = length
  const status = phb.translate(request)
  return { status, hpa: request.out.hpa, bytes: request.out.bytes }
}
function store(hpa: number, ...entries: readonly bigint[]): void {
  const bytes = new DataView(new ArrayBuffer(8 * entries.length))
  entries.forEach((entry, i) => bytes.setBigUint64(8 * i, entry))
  memory.write(hpa, new Uint8Array(bytes.buffer))
}
const make = (personality: 'specification' | 'qemu' = 'qemu'): void => {
  phb = new Phb({ name: 'phb0', segment: 0, endpoints: 256, personality }, memory)
  phb.setEndpoint(0x100, 0x1ff, 0xfd)
}

beforeEach(() => {
  memory = new HostMemory()
  memory.addRam(0, 64 << 20)
  make()
})

// Table at 0x400000, one level of 2^19 entries, pages of 4 KiB: the window of 2 GiB that firmware makes.
describe('a TVE of one level', () => {
  beforeEach(() => phb.windows.write(0x1fa, 0x0400_0b01, 0))

  test('leads to the entry of the page', () => {
    store(0x40_0000 + 8 * 0x7_ffff, 0x123_4003n)
    expect(ask(0x7fff_f010n)).toEqual({ status: 0, hpa: 0x123_4010, bytes: 8 })
  })
  test('covers no more than its page', () => {
    store(0x40_0000, 0x5003n)
    expect(ask(0xff8n, ACCESS.READ, 4096).bytes).toBe(8)
  })
  test('takes bits above the table for nothing on QEMU’s bridge, and for an error on hardware', () => {
    store(0x40_0000, 0x5003n)
    expect(ask(0x8000_0000n).hpa).toBe(0x5000)
    make('specification')
    phb.windows.write(0x1fa, 0x0400_0b01, 0)
    expect(ask(0x8000_0000n).status).toBe(REASON.BEYOND_WINDOW)
  })
  test.each([
    [0n, ACCESS.READ, REASON.NOT_PRESENT],
    [0x5002n, ACCESS.READ, REASON.READ],
    [0x5001n, ACCESS.WRITE, REASON.WRITE],
    [0x5001n, ACCESS.ATOMIC, REASON.WRITE],
    [0xff0n, ACCESS.WRITE, REASON.NOT_PRESENT],
  ])('an entry of %i refuses access %i with reason %i', (entry, access, reason) => {
    store(0x40_0000, entry)
    expect(ask(0n, access).status).toBe(reason)
  })
})

test('five levels of 512 entries with pages of 4 KiB are walked from the top', () => {
  phb.windows.write(0x1fb, 0x0200_8101, 0)
  const iova = (1n << 59n) | (3n << 48n) | (4n << 39n) | (5n << 30n) | (6n << 21n) | (7n << 12n) | 0x234n
  store(0x20_0000 + 8 * 3, 0x20_1003n)
  store(0x20_1000 + 8 * 4, 0x20_2003n)
  store(0x20_2000 + 8 * 5, 0x20_3003n)
  store(0x20_3000 + 8 * 6, 0x20_4001n)
  store(0x20_4000 + 8 * 7, 0x3_0000_0003n)
  expect(ask(iova & ~(3n << 48n)).status).toBe(REASON.NO_TABLE)
  expect(ask(iova)).toMatchObject({ status: 0, hpa: 0x3_0000_0234 })
})
test.each([
  [21, 0x3f_ffff],
  [30, 0x7fff_ffff],
  [34, 0x4_0000_0001],
])('a page of 2^%i bytes keeps the address bits inside it', (shift, offset) => {
  const [lo, hi] = tveOf(0x20_0000, 1, 9, shift)
  phb.windows.write(0x1fa, lo, hi)
  const page = 2 ** shift
  const index = Math.floor(offset / page)
  store(0x20_0000 + 8 * index, (BigInt(page) * 3n) | 3n)
  const hpa = page * 3 + (offset % page)
  expect([ask(BigInt(offset)).hpa, ask(BigInt(offset)).hpa]).toEqual([hpa, hpa])
})
describe('a cached entry', () => {
  const [lo, hi] = tveOf(0x20_0000, 1, 9, 34)
  beforeEach(() => phb.windows.write(0x1fa, lo, hi))

  test('of a page above 1 GiB stands for 1 GiB of it', () => {
    store(0x20_0000, 0xc_0000_0003n)
    expect(ask(0x3fff_ff00n, ACCESS.READ, 4096)).toEqual({ status: 0, hpa: 0xc_3fff_ff00, bytes: 0x100 })
    expect(phb.inspect()).toMatchObject([{ iova: 0n, bytes: 1n << 30n, hpa: 0xc_0000_0000, write: true }])
    expect(ask(0x1_8000_0000n).hpa).toBe(0xd_8000_0000)
    expect(phb.inspect()).toHaveLength(2)
  })
  test('answers until one kill of the page drops all of its parts', () => {
    store(0x20_0000, 0xc_0000_0003n)
    ask(0n)
    ask(0x1_8000_0000n)
    store(0x20_0000, 0x10_0000_0003n)
    expect([ask(0n).hpa, ask(0x1_8000_0000n).hpa]).toEqual([0xc_0000_0000, 0xd_8000_0000])
    phb.killPages(0xfd, 0, 0, 34, 1)
    expect([ask(0n).hpa, ask(0x1_8000_0000n).hpa]).toEqual([0x10_0000_0000, 0x11_8000_0000])
  })
  test('of endpoint 0 goes with the endpoint, and empty places are nobody’s', () => {
    phb.setEndpoint(0x100, 0x1ff, 0)
    phb.windows.write(0, 0x0400_0b01, 0)
    store(0x40_0000, 0x5003n)
    ask(0n)
    phb.cache.dropEndpoint(1)
    expect(phb.inspect()).toHaveLength(1)
    phb.cache.dropEndpoint(0)
    expect(phb.inspect()).toEqual([])
  })
})
test('a TVE comes back as it was written', () => {
  const [lo, hi] = tveOf(0x8_1234_5000, 3, 12, 16)
  phb.windows.write(6, lo, hi)
  expect([phb.windows.entry(6), phb.windows.table(6)]).toEqual([0x0081_2345_4405n, 0x8_1234_5000])
})
test('a window without a page size goes through', () => {
  const [lo, hi] = tveOf(0, 1, 9, 0)
  phb.windows.write(0x1fb, lo, hi, 2 ** 31)
  expect(ask((1n << 59n) + 0x123n)).toMatchObject({ status: 0, hpa: 0x123 })
})
test('messages are known by their address', () => {
  ask(0x1000_0000_0000_0010n, ACCESS.WRITE, 4)
  expect(request.out.target).toBe(TARGET.INTERRUPT)
  ask(0xffff_0010n, ACCESS.WRITE, 4)
  expect(request.out.target).toBe(TARGET.INTERRUPT)
})
test.each([
  ['a PASID', { pasid: 1 }],
  ['an address translated before', { translated: true }],
])('requests with %s are refused', (_, how) => {
  const special = Object.assign(new DmaRequest(0x108), how)
  expect(phb.translate(special)).toBe(REASON.KIND)
})
test('a table that no memory holds is told apart from an empty one', () => {
  const [lo, hi] = tveOf(0x1_0000_0000, 1, 9, 12)
  phb.windows.write(0x1fa, lo, hi)
  expect(ask(0n).status).toBe(REASON.TABLE_UNREADABLE)
})
