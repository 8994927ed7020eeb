import { HypervisorHooks } from '@ioasis/core'
import { expect, test } from 'vitest'
import { KVM_CREATE_DEVICE, KVM_CREATE_VM, KVM_DEV_TYPE_VFIO, KVM_DEV_VFIO_FILE, KVM_SET_DEVICE_ATTR } from './uapi.ts'
import { type FakeVfioFile, kvmWorld, vfioFile } from './vm.test-kit.ts'

/** Two machines, each with a kvm-vfio device, and a file that both may be given. */
function machines() {
  const world = kvmWorld()
  const { vmm, host } = world
  const device = (vm: number): number => vmm.ioctl(vm, KVM_CREATE_DEVICE, { type: KVM_DEV_TYPE_VFIO }).fd
  const second = vmm.ioctl(vmm.open('/dev/kvm'), KVM_CREATE_VM, 0n)
  const file: FakeVfioFile = vfioFile(false)
  const fd = vmm.adopt(file)
  const give = (to: number, attr: bigint): number => {
    const addr = vmm.put(new Uint8Array(Int32Array.of(fd).buffer))
    return vmm.ioctl(to, KVM_SET_DEVICE_ATTR, { group: KVM_DEV_VFIO_FILE, attr, addr }) as unknown as number
  }
  const [hooks] = host.all(HypervisorHooks)
  if (!hooks) throw new Error('kvm has no hooks')
  return { ...world, second, hooks, file, give, devices: [device(world.vm), device(second)] as const }
}

test('a file may be with two machines; each counts for itself, and the one told last is the file’s', () => {
  const { devices, give, file, told } = machines()
  give(devices[0], 1n)
  const first = file.vm
  give(devices[1], 1n)
  expect([told, file.vm !== first]).toEqual([['register', 'register'], true])
  give(devices[1], 2n)
  expect([told.at(-1), file.vm]).toEqual(['unregister', undefined])
})
test('a machine that is kept lives on after its last descriptor, until it is let go', () => {
  const { vmm, vm, devices, give, file, hooks } = machines()
  give(devices[0], 1n)
  const machine = file.vm
  if (!machine) throw new Error('the file was not told')
  const letGo = hooks.keep(machine)
  vmm.close(devices[0])
  vmm.close(vm)
  const again = hooks.keep(machine)
  expect([typeof letGo, typeof again]).toEqual(['function', 'function'])
  letGo?.()
  again?.()
  expect(hooks.keep(machine)).toBeUndefined()
})
test('what is no machine of this host is not kept', () => {
  expect(machines().hooks.keep({})).toBeUndefined()
})
