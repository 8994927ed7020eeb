import { afterEach, expect, test } from 'vitest'
import { IOMMU_GET_HW_INFO } from './uapi.ts'
import { errnoOf, type PaperOptions, World } from './world.test-kit.ts'

let world: World
let fd: number
const INFO = { type: 1, read: () => Uint8Array.of(1, 2, 3, 4) }
const start = (options: PaperOptions = { hwInfo: INFO }): number => {
  world = new World(options)
  fd = world.open()
  return world.bind(fd, 'a').id
}
afterEach(() => world.host.close())

test('tells how much there is, writes what fits, and zeros behind it', () => {
  const dev_id = start()
  const room = world.client.put(new Uint8Array(8).fill(0xff))
  const ask = (data_len: number): unknown => {
    const out = world.client.ioctl(fd, IOMMU_GET_HW_INFO, { dev_id, data_len, data_uptr: room })
    return [out.data_len, out.data_type, out.out_capabilities, [...world.client.peek(room, 8)]]
  }
  expect(ask(0)).toEqual([4, 1, 8n, [255, 255, 255, 255, 255, 255, 255, 255]])
  expect(ask(2)).toEqual([4, 1, 8n, [1, 2, 255, 255, 255, 255, 255, 255]])
  expect(ask(6)).toEqual([4, 1, 8n, [1, 2, 3, 4, 0, 0, 255, 255]])
})

test.each([
  ['an unknown flag', { flags: 2, dev_id: 99 }, 'EOPNOTSUPP'],
  ['a reserved byte', { __reserved: Uint8Array.of(0, 0, 1), dev_id: 99 }, 'EOPNOTSUPP'],
  ['an id that is no device', { dev_id: 99 }, 'ENOENT'],
  ['a kind that the driver does not have', { flags: 1, data_type: 4 }, 'EOPNOTSUPP'],
  ['room that is not there', { data_len: 1 }, 'EFAULT'],
  ['room that is not there behind the data', { data_len: 0xffff_ffff }, 'EFAULT'],
] as const)('refuses %s', (_, values, errno) => {
  const dev_id = start()
  expect(errnoOf(() => world.client.ioctl(fd, IOMMU_GET_HW_INFO, { dev_id, ...values }))).toBe(errno)
})

test('a kind is asked for only with its flag', () => {
  const dev_id = start()
  const kind = (flags: number, data_type: number): number =>
    world.client.ioctl(fd, IOMMU_GET_HW_INFO, { dev_id, flags, data_type }).data_type
  expect([kind(0, 4), kind(1, 0), kind(1, 1)]).toEqual([1, 1, 1])
})

test('a driver that tells nothing has no data of any kind', () => {
  const dev_id = start({ ats: true, pasidBits: 20 })
  const out = world.client.ioctl(fd, IOMMU_GET_HW_INFO, { dev_id, flags: 1, data_type: 4 })
  expect([out.data_len, out.data_type, out.out_capabilities, out.out_max_pasid_log2]).toEqual([0, 0, 0n, 20])
})

test('an older program passes a struct without capabilities and gets none', () => {
  const dev_id = start()
  const at = world.client.put(new Uint8Array(40).fill(0xee))
  world.client.poke(at, IOMMU_GET_HW_INFO.struct!.make({ size: 32, dev_id }).subarray(0, 32))
  world.client.ioctl(fd, IOMMU_GET_HW_INFO.number, at)
  expect([...world.client.peek(at + 32n, 8)]).toEqual(Array.from({ length: 8 }, () => 0xee))
})

test.each([
  [1, 0n],
  [3, 2n],
  [5, 4n],
  [7, 6n],
])('PASID control %i of the function is told as capabilities', (pasidControl, capabilities) => {
  const dev_id = start({ ats: true, pasidBits: 20, pasidControl })
  expect(world.client.ioctl(fd, IOMMU_GET_HW_INFO, { dev_id }).out_capabilities).toBe(capabilities)
})
test('without PASIDs nobody looks at it', () => {
  const dev_id = start({ ats: true, pasidControl: 7 })
  expect(world.client.ioctl(fd, IOMMU_GET_HW_INFO, { dev_id }).out_capabilities).toBe(0n)
})
