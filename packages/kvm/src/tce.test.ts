import {
  type AssignedFile,
  Client,
  createHost,
  type DmaWindow,
  type Errno,
  type Group,
  Processes,
  RegisteredMemory,
  TCE_ACCESS,
  type TceAccess,
  UapiError,
} from '@ioasis/core'
import { describe, expect, test } from 'vitest'
import { kvm } from './plugin.ts'
import { HCALL_ANSWER, HYPERCALL, type HypercallAnswer } from './tce-hypercalls.ts'
import {
  type CreateSpaprTce64,
  KVM_CREATE_SPAPR_TCE,
  KVM_CREATE_SPAPR_TCE_64,
  KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE,
  VFIO_SPAPR_TCE,
} from './tce-uapi.ts'
import {
  KVM_CHECK_EXTENSION,
  KVM_CREATE_DEVICE,
  KVM_CREATE_VM,
  KVM_DEV_TYPE_VFIO,
  KVM_DEV_VFIO_FILE,
  KVM_DEV_VFIO_FILE_ADD,
  KVM_DEV_VFIO_FILE_DEL,
  KVM_SET_DEVICE_ATTR,
  KVM_SET_USER_MEMORY_REGION,
} from './uapi.ts'
import type { KvmVm } from './vm.ts'

const { H_SUCCESS, H_PARAMETER, H_TOO_HARD } = HCALL_ANSWER
const LIOBN = 0x8000_0000n
const RAM = 0x100_0000_0000n
const TABLE: CreateSpaprTce64 = { liobn: LIOBN, page_shift: 12, flags: 0, offset: 0n, size: 0x400n }

/** A hardware table as a map, with a count of who holds it. */
function hardware(first = 0n, entries = 0x400, pageShift = 12) {
  const made = new Map<number, readonly [hpa: number, access: TceAccess]>()
  const addresses = new Map<number, number>()
  const window = {
    first,
    bytes: BigInt(entries) << BigInt(pageShift),
    entries,
    pageShift,
    oldHpa: 0,
    holders: 1,
    kills: 0,
    exchange(index: number, hpa: number, access: TceAccess): TceAccess {
      const [old, was] = made.get(index) ?? [0, TCE_ACCESS.NONE]
      if (access === TCE_ACCESS.NONE) made.delete(index)
      else made.set(index, [hpa, access])
      window.oldHpa = old
      return was
    },
    kill: () => void window.kills++,
    userAddress: (index: number) => addresses.get(index) ?? 0,
    setUserAddress: (index: number, uva: number) => void addresses.set(index, uva),
    hold: () => void window.holders++,
    put: () => void window.holders--,
  }
  return { made, window, asWindow: window as unknown as DmaWindow }
}

function world() {
  const host = createHost({ plugins: [kvm({ power: true })] })
  const vmm = new Client(host, host.get(Processes).spawn())
  let told: object | undefined
  const present: (DmaWindow | undefined)[] = []
  const file: AssignedFile = {
    assigned: {
      valid: true,
      enforcedCoherent: false,
      group: { devices: [{ windows: { present } }] } as unknown as Group,
      setVm: (vm) => {
        told = vm
      },
    },
    release: () => undefined,
  }
  const vm = vmm.ioctl(vmm.open('/dev/kvm'), KVM_CREATE_VM, 1)
  const group = vmm.adopt(file)
  const device = vmm.ioctl(vm, KVM_CREATE_DEVICE, { type: KVM_DEV_TYPE_VFIO }).fd
  const set = (attr: bigint, values: readonly number[]): Errno | 'ok' => {
    const bytes = new Uint8Array(Int32Array.from(values).buffer)
    const at = { group: KVM_DEV_VFIO_FILE, attr, addr: vmm.put(bytes) }
    return vmm.attempt(device, KVM_SET_DEVICE_ATTR, at).errno ?? 'ok'
  }
  const create = (values: Partial<CreateSpaprTce64> = {}): number | Errno => {
    try {
      return vmm.ioctlRet(vm, KVM_CREATE_SPAPR_TCE_64, { ...TABLE, ...values })
    } catch (error) {
      if (error instanceof UapiError) return error.errno
      throw error
    }
  }
  vmm.mmap({ uva: RAM, bytes: 0x10_0000 })
  vmm.ioctl(vm, KVM_SET_USER_MEMORY_REGION, { guest_phys_addr: 0n, memory_size: 0x10_0000n, userspace_addr: RAM })
  /** The machine itself, as the file that was handed over was told of it. */
  const machine = (): KvmVm => {
    set(KVM_DEV_VFIO_FILE_ADD, [group])
    return told as KvmVm
  }
  const link = (table: number): Errno | 'ok' => set(KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE, [group, table])
  const locked = (): number => vmm.process.addressSpace.locked.pages
  return { host, vmm, vm, group, device, present, set, create, machine, link, locked }
}
type World = ReturnType<typeof world>

/** A VM with a table that a hardware table follows, and registered guest memory. */
function linked(hw = hardware()) {
  const w = world()
  const machine = w.machine()
  w.present[0] = hw.asWindow
  const table = w.create() as number
  expect(w.link(table)).toBe('ok')
  const registered = RegisteredMemory.of(w.vmm.process.addressSpace)
  registered.create(RAM, 64, Infinity)
  const call = (number: number, ...args: (bigint | number)[]): HypercallAnswer =>
    machine.hypercall(number, [LIOBN, ...args.map(BigInt)])
  const put = (ioba: number, tce: number): number => call(HYPERCALL.H_PUT_TCE, ioba, tce).ret
  const get = (ioba: number): bigint | undefined => call(HYPERCALL.H_GET_TCE, ioba).value
  return { ...w, hw, table, call, put, get, region: registered.regions[0] }
}
const list = ({ vmm }: World, gpa: bigint, values: readonly bigint[]): void => {
  const bytes = new DataView(new ArrayBuffer(values.length * 8))
  values.forEach((value, i) => bytes.setBigUint64(i * 8, value))
  vmm.poke(RAM + gpa, new Uint8Array(bytes.buffer))
}

describe('a table', () => {
  test.each<[string, Partial<CreateSpaprTce64>]>([
    ['no pages', { size: 0n }],
    ['small pages', { page_shift: 11 }],
    ['large pages', { page_shift: 35 }],
    ['flags', { flags: 1 }],
    ['an end beyond the bus', { offset: 1n << 52n }],
  ])('%s', (_what, values) => {
    expect(world().create(values)).toBe('EINVAL')
  })
  test('a sum that wraps is not noticed', () => {
    expect(typeof world().create({ offset: (1n << 64n) - 1n, size: 16n })).toBe('number')
  })
  test('a number belongs to one table; the charge goes with its descriptor', () => {
    const { vmm, create, locked } = world()
    const fd = create() as number
    expect([create(), locked()]).toEqual(['EBUSY', 3])
    vmm.close(fd)
    expect(locked()).toBe(0)
    expect(typeof create()).toBe('number')
  })
  test('more than its array of pages can list is refused', () => {
    const { create, locked } = world()
    expect([create({ size: 1n << 31n }), locked()]).toEqual(['ENOMEM', 0])
  })
  test('the older call makes pages of 4 KiB at 0', () => {
    const { vmm, vm, machine } = world()
    vmm.ioctlRet(vm, KVM_CREATE_SPAPR_TCE, { liobn: 7n, window_size: 0x10000 })
    expect(machine().tables?.find(7n)).toMatchObject({ pageShift: 12, offset: 0n, pages: 16n })
  })
  test('its user sees it, and it outlives its VM', () => {
    const w = linked()
    w.put(0x2000, 0x4003)
    const view = w.vmm.mmap({ fd: w.table, bytes: 0x1000 })
    expect(w.vmm.memRead(view + 16n, 8)).toBe(0x4003n)
  })
  test('other hosts have no such call', () => {
    const host = createHost({ plugins: [kvm()] })
    const vmm = new Client(host, host.get(Processes).spawn())
    const vm = vmm.ioctl(vmm.open('/dev/kvm'), KVM_CREATE_VM)
    expect(vmm.attempt(vm, KVM_CREATE_SPAPR_TCE_64, TABLE).errno).toBe('ENOTTY')
    expect(vmm.ioctl(vm, KVM_CHECK_EXTENSION, 125)).toBe(0)
  })
  test('extensions of the HV module', () => {
    const { vmm, vm } = world()
    expect([67, 125, 142, 95].map((capability) => vmm.ioctl(vm, KVM_CHECK_EXTENSION, capability))).toEqual([1, 1, 1, 0])
  })
})

describe('a hardware table follows', () => {
  test('one that begins there, is not smaller, and has pages not larger', () => {
    const { machine, present, create, link, vmm } = world()
    machine()
    const table = create() as number
    expect(link(table)).toBe('EINVAL')
    for (const unfit of [hardware(0x1000n), hardware(0n, 0x200), hardware(0n, 0x400, 16)]) {
      present[0] = unfit.asWindow
      expect(link(table)).toBe('EINVAL')
    }
    const hw = hardware(0n, 0x800)
    present[1] = hw.asWindow
    expect([link(table), link(table), hw.window.holders]).toEqual(['ok', 'ok', 2])
    vmm.close(table)
    expect(hw.window.holders).toBe(1)
  })
  test('the order of refusals', () => {
    const { set, group, vmm, device, create } = world()
    const table = create() as number
    const attr = KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE
    expect(set(attr, [group, table])).toBe('ENOENT')
    set(KVM_DEV_VFIO_FILE_ADD, [group])
    expect([set(attr, [99, table]), set(attr, [group, 99]), set(attr, [group, device])]).toEqual([
      'EBADF',
      'EBADF',
      'EINVAL',
    ])
    const bad = { group: KVM_DEV_VFIO_FILE, attr, addr: 0x10n }
    expect([vmm.attempt(device, KVM_SET_DEVICE_ATTR, bad).errno, VFIO_SPAPR_TCE.size]).toEqual(['EFAULT', 8])
  })
  test('until its group leaves the VM, if the group has it still', () => {
    const { set, group, hw, present } = linked()
    const gone = hardware()
    present[0] = gone.asWindow
    set(KVM_DEV_VFIO_FILE_DEL, [group])
    expect(hw.window.holders).toBe(2)
    const other = linked()
    other.set(KVM_DEV_VFIO_FILE_DEL, [other.group])
    expect(other.hw.window.holders).toBe(1)
  })
})

describe('H_PUT_TCE', () => {
  test('updates both tables, and counts for the registered region', () => {
    const { put, get, hw, region } = linked()
    expect(put(0x3000, 0x5003)).toBe(H_SUCCESS)
    expect(hw.made.get(3)).toEqual([region?.hpas[5], TCE_ACCESS.BOTH])
    expect([get(0x3000), region?.mapped, hw.window.kills]).toEqual([0x5003n, 2, 1])
    expect([put(0x3000, 0), hw.made.size, region?.mapped, get(0x3000)]).toEqual([H_SUCCESS, 0, 1, 0n])
  })
  test.each<[string, number, number, number]>([
    ['an address inside a page', 0x3010, 0x5003, H_PARAMETER],
    ['an address behind the table', 0x40_0000, 0x5003, H_PARAMETER],
    ['a target inside a page', 0x3000, 0x5803, H_TOO_HARD],
    ['a target that is no guest memory', 0x3000, 0x100_0003, H_TOO_HARD],
    ['a target that is not registered', 0x3000, 0x4_1003, H_TOO_HARD],
    ['a value without permissions, whatever it is', 0x3000, 0x100_0800, H_SUCCESS],
  ])('%s', (_what, ioba, tce, answer) => {
    const { put, hw } = linked()
    expect([put(ioba, tce), hw.made.size]).toEqual([answer, 0])
  })
  test('an unknown number is left to the user', () => {
    expect(linked().put(0, 0)).toBe(H_SUCCESS)
    expect(world().machine().hypercall(HYPERCALL.H_PUT_TCE, [1n, 0n, 0n]).ret).toBe(H_TOO_HARD)
  })
  test('one entry of the guest is several of a table with smaller pages', () => {
    const w = world()
    const machine = w.machine()
    const hw = hardware(0n, 0x4000)
    w.present[0] = hw.asWindow
    expect(w.link(w.create({ page_shift: 16 }) as number)).toBe('ok')
    RegisteredMemory.of(w.vmm.process.addressSpace).create(RAM, 64, Infinity)
    expect(machine.hypercall(HYPERCALL.H_PUT_TCE, [LIOBN, 0x10000n, 0x20001n]).ret).toBe(H_SUCCESS)
    expect([...hw.made.keys()]).toEqual(Array.from({ length: 16 }, (_, i) => 16 + i))
  })
})

describe('many at a time', () => {
  test('H_PUT_TCE_INDIRECT looks at all values before it puts one', () => {
    const w = linked()
    list(w, 0x8000n, [0x1003n, 0x2001n, 0x100_0003n])
    expect([w.call(HYPERCALL.H_PUT_TCE_INDIRECT, 0, 0x8000, 3).ret, w.hw.made.size]).toEqual([H_TOO_HARD, 0])
    expect([w.call(HYPERCALL.H_PUT_TCE_INDIRECT, 0, 0x8000, 2).ret, [...w.hw.made.keys()]]).toEqual([H_SUCCESS, [0, 1]])
    expect(w.get(0x1000)).toBe(0x2001n)
  })
  test('H_PUT_TCE_INDIRECT wants the page of a value without permissions registered, too', () => {
    const w = linked()
    w.put(0x1000, 0x5003)
    list(w, 0x8000n, [0x1003n, 0n, 0x4_1000n, 0x2003n])
    expect(w.call(HYPERCALL.H_PUT_TCE_INDIRECT, 0, 0x8000, 4).ret).toBe(H_TOO_HARD)
    expect([[...w.hw.made.keys()], w.region?.mapped, w.get(0x1000), w.get(0x3000)]).toEqual([[0], 2, 0n, 0n])
  })
  test.each<[string, number, number, number]>([
    ['too many', 0x8000, 513, H_PARAMETER],
    ['a list that is not aligned', 0x8010, 2, H_PARAMETER],
    ['a list that is no guest memory', 0x200_0000, 2, H_TOO_HARD],
    ['none', 0x8000, 0, H_SUCCESS],
  ])('%s', (_what, at, pages, answer) => {
    expect(linked().call(HYPERCALL.H_PUT_TCE_INDIRECT, 0, at, pages).ret).toBe(answer)
  })
  test('H_STUFF_TCE clears, and keeps the value for the guest to see', () => {
    const { put, call, get, hw, region } = linked()
    put(0, 0x1003)
    put(0x1000, 0x2003)
    expect(call(HYPERCALL.H_STUFF_TCE, 0, 3, 2).ret).toBe(H_PARAMETER)
    expect(call(HYPERCALL.H_STUFF_TCE, 0, 0x500, 2).ret).toBe(H_SUCCESS)
    expect([hw.made.size, region?.mapped, get(0x1000)]).toEqual([0, 1, 0x500n])
    expect(call(HYPERCALL.H_STUFF_TCE, 0x3f_f000, 0, 2).ret).toBe(H_PARAMETER)
  })
})
