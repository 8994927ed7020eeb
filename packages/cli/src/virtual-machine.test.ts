import { createHost, Drivers, Pci, UapiError } from '@ioasis/core'
import { labHost } from '@ioasis/hosts'
import { kvm } from '@ioasis/kvm'
import { expect, test } from 'vitest'
import { deviceNode, GUEST_CODE, VirtualMachine } from './virtual-machine.ts'

test('a guest copies bytes of its memory, again and again', () => {
  using host = createHost({ plugins: [kvm()] })
  const vm = new VirtualMachine(host)
  const { vmm, memory } = vm
  vmm.poke(memory + 0x700n, Uint8Array.of(1, 2, 3))
  vm.run(GUEST_CODE.copy(0x700, 0x8ff, 3), GUEST_CODE.hlt)
  vm.run(GUEST_CODE.copy(0x8ff, 0x10, 2), GUEST_CODE.wbinvd, GUEST_CODE.hlt)
  expect([...vmm.peek(memory + 0x8ffn, 3)]).toEqual([1, 2, 3])
})

test('a bound function has a device file, which can be given once', () => {
  using host = labHost('intel.type1')
  const fn = host.get(Pci).get('01:00.0')
  expect(() => deviceNode(host, fn)).toThrow(UapiError)
  host.get(Drivers).setOverride(fn, 'vfio-pci')
  host.get(Drivers).bind('vfio-pci', fn)
  expect(deviceNode(host, fn)).toBe('/dev/vfio/devices/vfio0')
  const vm = new VirtualMachine(host)
  const device = vm.vmm.open(deviceNode(host, fn))
  vm.give(device)
  expect(() => vm.give(device)).toThrow('EEXIST')
})
