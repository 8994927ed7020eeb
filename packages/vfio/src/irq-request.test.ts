import { VFIO_DEVICE_BIND_IOMMUFD, VFIO_DEVICE_SET_IRQS, VFIO_IRQ_SET } from '@ioasis/uapi'
import { expect, test } from 'vitest'
import { SpaceFile, vfioWorld } from './world.test-kit.ts'

const { DATA_NONE, DATA_BOOL, DATA_EVENTFD, ACTION_TRIGGER, ACTION_MASK } = VFIO_IRQ_SET

function bound() {
  const world = vfioWorld()
  const driver = world.add('00:01.0')
  const file = world.vmm.open('/dev/vfio/devices/vfio0')
  world.vmm.ioctl(file, VFIO_DEVICE_BIND_IOMMUFD, { iommufd: world.vmm.adopt(new SpaceFile()) })
  const set = (values: object, data = new Uint8Array(0)): string | undefined =>
    world.vmm.attempt(file, VFIO_DEVICE_SET_IRQS, { index: 0, count: 1, ...values }, data).errno
  return { ...world, driver, set }
}

test.each([
  ['an index there is not', { index: 2, flags: DATA_NONE | ACTION_TRIGGER }],
  ['a range beyond the count', { start: 2, count: 2, flags: DATA_NONE | ACTION_TRIGGER }],
  ['no kind of data', { flags: ACTION_TRIGGER }],
  ['two kinds of data', { flags: DATA_NONE | DATA_BOOL | ACTION_TRIGGER }],
  ['unknown flags', { flags: 0x40 | DATA_NONE | ACTION_TRIGGER }],
  ['less data than it counts', { flags: DATA_EVENTFD | ACTION_TRIGGER }],
])('refuses %s', (_what, values) => {
  expect(bound().set(values)).toBe('EINVAL')
})
test('hands on range, action and data; several actions are none', () => {
  const { set, driver } = bound()
  set({ start: 1, count: 2, flags: DATA_BOOL | ACTION_TRIGGER }, Uint8Array.of(1, 0))
  set({ flags: DATA_NONE | ACTION_TRIGGER | ACTION_MASK })
  expect(driver.log.filter((line) => line.startsWith('irq'))).toEqual([
    'irq 0 1+2 trigger bool',
    'irq 0 0+1 undefined none',
  ])
})
const fds = (fd: number): Uint8Array<ArrayBuffer> => new Uint8Array(Int32Array.of(fd).buffer)

test('descriptors are looked up by the driver: -1 is none, another kind of file is refused', () => {
  const { set, vmm } = bound()
  const flags = DATA_EVENTFD | ACTION_TRIGGER
  const event = vmm.eventfd()
  expect([set({ flags }, fds(event)), set({ flags }, fds(-1)), set({ flags }, fds(99))]).toEqual([
    undefined,
    undefined,
    'EBADF',
  ])
  expect(set({ flags }, fds(vmm.memfd(4096)))).toBe('EINVAL')
  expect(vmm.read(event, new Uint8Array(8))).toBe(8)
})
