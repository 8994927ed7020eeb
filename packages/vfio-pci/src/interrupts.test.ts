import { VFIO_DEVICE_SET_IRQS, VFIO_IRQ_SET } from '@ioasis/uapi'
import { expect, test } from 'vitest'
import { openedWorld } from './world.test-kit.ts'

const { DATA_NONE, DATA_BOOL, DATA_EVENTFD, ACTION_TRIGGER, ACTION_MASK } = VFIO_IRQ_SET
const [INTX, MSI, MSIX, ERR, REQ] = [0, 1, 2, 3, 4]

function opened() {
  const world = openedWorld({ msi: 0x80, msix: 4, pin: 1, express: true })
  const { vmm, fd } = world
  const set = (index: number | undefined, flags: number, count = 1, data = new Uint8Array(4)): string | undefined =>
    vmm.attempt(fd, VFIO_DEVICE_SET_IRQS, { index: index ?? 0, flags, count }, data).errno
  const event = vmm.eventfd()
  const fds = new Uint8Array(Int32Array.of(event).buffer)
  return { ...world, set, event, fds }
}

test('one kind at a time', () => {
  const { set, fds } = opened()
  expect(set(MSIX, DATA_EVENTFD | ACTION_TRIGGER, 1, fds)).toBeUndefined()
  expect([set(INTX, DATA_EVENTFD | ACTION_TRIGGER, 1, fds), set(MSI, DATA_EVENTFD | ACTION_TRIGGER, 1, fds)]).toEqual([
    'EINVAL',
    'EINVAL',
  ])
  expect(set(MSIX, DATA_NONE | ACTION_TRIGGER, 0)).toBeUndefined()
  expect([set(MSIX, DATA_NONE | ACTION_TRIGGER), set(INTX, DATA_EVENTFD | ACTION_TRIGGER, 1, fds)]).toEqual([
    'EINVAL',
    undefined,
  ])
})
test('what cannot be masked is ENOTTY', () => {
  const { set } = opened()
  expect([MSI, MSIX, ERR, REQ].map((index) => set(index, DATA_NONE | ACTION_MASK))).toEqual([
    'ENOTTY',
    'ENOTTY',
    'ENOTTY',
    'ENOTTY',
  ])
})
test('a user may try his events', () => {
  const { set, fds, vmm, event } = opened()
  const read = (): number => vmm.read(event, new Uint8Array(8))
  set(MSIX, DATA_EVENTFD | ACTION_TRIGGER, 1, fds)
  set(MSIX, DATA_NONE | ACTION_TRIGGER)
  expect(read()).toBe(8)
  set(MSIX, DATA_BOOL | ACTION_TRIGGER, 1, Uint8Array.of(0))
  expect(read).toThrow('EAGAIN')
})
test('errors and requests have one event each', () => {
  const { set, fds, vmm, event, session } = opened()
  expect(set(REQ, DATA_NONE | ACTION_TRIGGER)).toBe('EINVAL')
  expect(set(REQ, DATA_EVENTFD | ACTION_TRIGGER, 1, fds)).toBeUndefined()
  session().request(0)
  expect(vmm.read(event, new Uint8Array(8))).toBe(8)
  expect(set(REQ, DATA_NONE | ACTION_TRIGGER, 0)).toBeUndefined()
  session().request(1)
  expect(() => vmm.read(event, new Uint8Array(8))).toThrow('EAGAIN')
})
