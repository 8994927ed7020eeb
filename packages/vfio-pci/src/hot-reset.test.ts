import { VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, VFIO_DEVICE_PCI_HOT_RESET } from '@ioasis/uapi'
import { expect, test } from 'vitest'
import { Model, pciWorld } from './world.test-kit.ts'

function twoBehindABridge() {
  const models = { '00:03.0': new Model({ bridge: true }), '01:00.0': new Model(), '01:01.0': new Model() }
  const world = pciWorld(models)
  return { ...world, models, one: world.open(0) }
}

test('lists who is reset too; unopened devices are not owned', () => {
  const { vmm, one, open } = twoBehindABridge()
  const ask = () => vmm.attempt(one, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, {}, new Uint8Array(16))
  const first = ask()
  expect([first.out.count, first.out.flags, [...first.bytes.subarray(12)]]).toEqual([
    2,
    1,
    [1, 0, 0, 0, 0, 0, 1, 0, 255, 255, 255, 255, 0, 0, 1, 8],
  ])
  open(1)
  expect(ask().out.flags).toBe(3)
})
test('too little room is ENOSPC with the count', () => {
  const { vmm, one } = twoBehindABridge()
  const { errno, out } = vmm.attempt(one, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO)
  expect([errno, out.count]).toEqual(['ENOSPC', 2])
})
test("resets all once they are one user's; registers stay", () => {
  const { vmm, one, open, models, session } = twoBehindABridge()
  expect(vmm.attempt(one, VFIO_DEVICE_PCI_HOT_RESET).errno).toBe('EINVAL')
  open(1)
  const resets = models['01:01.0'].resets
  expect(vmm.attempt(one, VFIO_DEVICE_PCI_HOT_RESET).errno).toBeUndefined()
  expect([models['01:01.0'].resets - resets, session('01:01.0').memoryEnabled]).toEqual([1, true])
  expect(vmm.attempt(one, VFIO_DEVICE_PCI_HOT_RESET, { count: 1 }, new Uint8Array(4)).errno).toBe('EINVAL')
})
test('a root bus cannot be reset', () => {
  const { vmm, open } = pciWorld({ '00:01.0': new Model() })
  expect(vmm.attempt(open(), VFIO_DEVICE_GET_PCI_HOT_RESET_INFO).errno).toBe('ENODEV')
})
test('when the last user goes the bus is reset, if its functions cannot be one by one', () => {
  const { vmm, one, open, models } = twoBehindABridge()
  const two = open(1)
  const resets = (): number => models['01:00.0'].resets
  const before = resets()
  vmm.close(one)
  expect(resets() - before).toBe(0)
  vmm.close(two)
  expect(resets() - before).toBe(1)
})
test('what lies behind a further bridge is in another set, and not owned though its user has it', () => {
  const inner = new Model({ bridge: true })
  inner.config.set([1, 2, 2], 0x18)
  const models = {
    '00:03.0': new Model({ bridge: true }),
    '01:00.0': inner,
    '01:01.0': new Model(),
    '02:00.0': new Model(),
  }
  models['00:03.0'].config.set([0, 1, 2], 0x18)
  const { vmm, open } = pciWorld(models)
  const one = open(0)
  open(1)
  const { out, bytes } = vmm.attempt(one, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, {}, new Uint8Array(24))
  const ids = new Int32Array(bytes.slice(12).buffer)
  expect([out.count, out.flags, ids[0], ids[2], ids[4]]).toEqual([3, 1, -1, -1, 1])
})
