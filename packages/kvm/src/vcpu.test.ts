import { Memory, UserFrames } from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import {
  KVM_CAP,
  KVM_CHECK_EXTENSION,
  KVM_CREATE_VCPU,
  KVM_DEV_VFIO_FILE_ADD,
  KVM_EXIT,
  KVM_GET_API_VERSION,
  KVM_GET_REGS,
  KVM_GET_VCPU_MMAP_SIZE,
  KVM_RUN,
  KVM_SET_USER_MEMORY_REGION,
} from './uapi.ts'
import { CODE, type KvmWorld, kvmWorld, setFile, vcpuWith, vfioDevice, vfioFile } from './vm.test-kit.ts'

const WBINVD = [0x0f, 0x09]
const HLT = 0xf4
/** mov al,[0x2000] and mov [0x2040],al: the page behind the program, two of its cache lines. */
const LOAD = [0xa0, 0x00, 0x20]
const STORE = [0xa2, 0x40, 0x20]

function run({ vmm }: KvmWorld, vcpu: number): number {
  const page = vmm.mmap({ fd: vcpu, bytes: 4096 })
  vmm.ioctl(vcpu, KVM_RUN)
  return new DataView(vmm.peek(page + 8n, 4).buffer).getUint32(0, true)
}

describe('a guest that executes WBINVD', () => {
  test('reaches the host while a file is not coherent', () => {
    const world = kvmWorld()
    setFile(world, vfioDevice(world), KVM_DEV_VFIO_FILE_ADD, world.vmm.adopt(vfioFile(false)))
    expect(run(world, vcpuWith(world, [...WBINVD, HLT]).vcpu)).toBe(KVM_EXIT.HLT)
    expect(world.told).toEqual(['register', 'wbinvd', 'flush'])
  })

  test('does nothing to the host while all files are coherent', () => {
    const world = kvmWorld()
    setFile(world, vfioDevice(world), KVM_DEV_VFIO_FILE_ADD, world.vmm.adopt(vfioFile(true)))
    expect(run(world, vcpuWith(world, [...WBINVD, HLT]).vcpu)).toBe(KVM_EXIT.HLT)
    expect(world.told).toEqual(['wbinvd'])
  })

  test('sees what a device wrote past the cache only after the flush', () => {
    const world = kvmWorld(true)
    setFile(world, vfioDevice(world), KVM_DEV_VFIO_FILE_ADD, world.vmm.adopt(vfioFile(false)))
    const program = [...LOAD, ...STORE, ...WBINVD, ...LOAD, HLT]
    const { vcpu, memory } = vcpuWith(world, program)
    world.vmm.poke(memory + 0x1000n, Uint8Array.of(0x11))
    const target = world.vmm.process.addressSpace.at(memory + 0x1000n)?.target
    if (target?.kind !== 'pages') throw new Error('no page')
    const hpa = target.object.peek(target.firstPage)
    world.host.get(UserFrames).cpu.clflush(hpa, 64)
    world.host.get(UserFrames).cpu.load(hpa, 1) // the line is in the cache again
    world.host.get(Memory).write(hpa, Uint8Array.of(0x22))
    run(world, vcpu)
    const al = Number(world.vmm.ioctl(vcpu, KVM_GET_REGS, {}).rax & 0xffn)
    expect([world.vmm.peek(memory + 0x1040n, 1)[0], al]).toEqual([0x11, 0x22])
  })
})

test('a guest moves bytes through its data segment and halts behind the last instruction', () => {
  const world = kvmWorld()
  const { vcpu, memory } = vcpuWith(world, [0x90, ...LOAD, ...STORE, HLT])
  world.vmm.poke(memory + 0x1000n, Uint8Array.of(0x5a))
  expect(run(world, vcpu)).toBe(KVM_EXIT.HLT)
  expect(world.vmm.peek(memory + 0x1040n, 1)[0]).toBe(0x5a)
  expect(world.vmm.ioctl(vcpu, KVM_GET_REGS, {}).rip).toBe(CODE + 8n)
})

test('an instruction that is not emulated, or no memory to fetch from, leaves the guest', () => {
  const world = kvmWorld()
  expect(run(world, vcpuWith(world, [0xcc]).vcpu)).toBe(KVM_EXIT.INTERNAL_ERROR)
  const lost = world.vmm.ioctl(world.vm, KVM_CREATE_VCPU, 7)
  expect(run(world, lost)).toBe(KVM_EXIT.INTERNAL_ERROR)
})

test('a vCPU id is taken once, and has a limit', () => {
  const { vmm, vm } = kvmWorld()
  vmm.ioctl(vm, KVM_CREATE_VCPU, 3)
  expect(() => vmm.ioctl(vm, KVM_CREATE_VCPU, 3)).toThrow('EEXIST')
  expect(() => vmm.ioctl(vm, KVM_CREATE_VCPU, 16384)).toThrow('EINVAL')
})

test('memory slots do not overlap, keep their place in user memory, and are removed by size 0', () => {
  const { vmm, vm } = kvmWorld()
  const uva = vmm.mmap({ bytes: 0x4000 })
  const set = (slot: number, gpa: bigint, size: bigint, at = uva): string =>
    vmm.attempt(vm, KVM_SET_USER_MEMORY_REGION, {
      slot,
      guest_phys_addr: gpa,
      memory_size: size,
      userspace_addr: at,
    }).errno ?? 'ok'
  expect(set(0, 0n, 0x2000n)).toBe('ok')
  expect(set(1, 0x1000n, 0x1000n)).toBe('EEXIST')
  expect(set(0, 0n, 0x1000n)).toBe('EINVAL')
  expect(set(0, 0x8000n, 0x2000n)).toBe('ok')
  expect(set(1, 0x1000n, 0x800n)).toBe('EINVAL')
  expect(set(0, 0n, 0n)).toBe('ok')
  expect(set(0, 0n, 0n)).toBe('EINVAL')
})

test('/dev/kvm tells its version, what it has, and refuses the rest', () => {
  const { vmm } = kvmWorld()
  const kvm = vmm.open('/dev/kvm')
  expect(vmm.ioctl(kvm, KVM_GET_API_VERSION)).toBe(12)
  expect(() => vmm.ioctl(kvm, KVM_GET_API_VERSION, 1)).toThrow('EINVAL')
  expect(vmm.ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP.DEVICE_CTRL)).toBe(1)
  expect(vmm.ioctl(kvm, KVM_CHECK_EXTENSION, 9999)).toBe(0)
  expect(vmm.ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE)).toBe(3 * 4096)
  expect(() => vmm.ioctl(kvm, 0xae7f)).toThrow('EINVAL')
})

test('a vCPU that finds no descriptor is not there: its number is free', () => {
  const { vmm, vm } = kvmWorld()
  const { limits } = vmm.process
  vmm.process.limits = { ...limits, nofile: vmm.fds.all.length }
  expect(() => vmm.ioctl(vm, KVM_CREATE_VCPU, 0n)).toThrow('EMFILE')
  vmm.process.limits = limits
  expect(vmm.ioctl(vm, KVM_CREATE_VCPU, 0n)).toBeGreaterThan(0)
})
