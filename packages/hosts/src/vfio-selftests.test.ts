/** What tools/testing/selftests/vfio asks of a device, in each way to its memory: mappings, BARs, interrupts, reset, tokens of virtual functions. */
import {
  Client,
  Drivers,
  idsOf,
  IommuGroups,
  Pci,
  type PciFunction,
  Processes,
  readCapabilities,
  Sysfs,
  UapiError,
} from '@ioasis/core'
import { IOMMU_IOAS_ALLOC, IOMMU_IOAS_IOVA_RANGES, IOMMU_IOAS_MAP, IOMMU_IOAS_UNMAP } from '@ioasis/iommufd'
import { mustBeSound } from '@ioasis/testkit'
import * as uapi from '@ioasis/uapi'
import { Vfio } from '@ioasis/vfio'
import { describe, expect, test } from 'vitest'
import { labHost, labTraceMachine } from './lab-kernel.ts'

const PAGE = 4096n
const TOP = 2n ** 64n
const CONFIG = 7n << 40n
const COMMAND = 4n
const MASTER = 4
const SET_TOKEN = uapi.VFIO_DEVICE_FEATURE_FLAG.SET | uapi.VFIO_FEATURE.PCI_VF_TOKEN
const TOKENS = ['1a2b3c4d-0000-4000-8000-000000000001', '1a2b3c4d-0000-4000-8000-000000000002'] as const
const bytesOf = (token: string): Uint8Array =>
  Uint8Array.from(token.replaceAll('-', '').match(/../g) ?? [], (hex) => parseInt(hex, 16))

/** How a program reaches DMA: a container with a type, or an IOAS. */
interface Mode {
  readonly name: string
  readonly container?: string
  readonly type: bigint
}
const MODES: readonly Mode[] = [
  { name: 'vfio_type1_iommu', container: '/dev/vfio/vfio', type: 1n },
  { name: 'vfio_type1v2_iommu', container: '/dev/vfio/vfio', type: 3n },
  { name: 'iommufd_compat_type1', container: '/dev/iommu', type: 1n },
  { name: 'iommufd_compat_type1v2', container: '/dev/iommu', type: 3n },
  { name: 'iommufd', type: 0n },
]

/** A program on a lab machine, and functions that vfio-pci has. */
function lab() {
  const host = labHost('intel-sc.type1')
  const { devices } = labTraceMachine('intel-sc.type1')
  const vmm = new Client(host, host.get(Processes).spawn())
  const place = (alias: string) => host.get(Pci).get(devices[alias]?.bdf ?? alias)
  const bind = (alias: string): void => {
    host.get(Drivers).setOverride(place(alias), 'vfio-pci')
    host.get(Drivers).attach(place(alias))
  }
  const cdev = (alias: string): number =>
    vmm.open(`/dev/vfio/devices/vfio${host.get(Vfio).deviceOf(place(alias))?.index}`)
  const group = (alias: string): number => vmm.open(`/dev/vfio/${host.get(IommuGroups).of(place(alias))?.id}`)
  return { host, vmm, place, bind, cdev, group }
}
const ending = (run: () => unknown): string => {
  try {
    run()
  } catch (error) {
    if (error instanceof UapiError) return error.errno
    throw error
  }
  return 'ok'
}

/** The device opened in one of the ways, and verbs on its memory. */
function opened({ container, type }: Mode, alias = 'edu') {
  const made = lab()
  const { vmm, cdev, bind, group } = made
  bind(alias)
  const pointer = (...values: number[]): bigint => vmm.put(new Uint8Array(Int32Array.from(values).buffer))
  if (container === undefined) {
    const iommufd = vmm.open('/dev/iommu')
    const fd = cdev(alias)
    vmm.ioctl(fd, uapi.VFIO_DEVICE_BIND_IOMMUFD, { iommufd })
    const { out_ioas_id: ioas_id } = vmm.ioctl(iommufd, IOMMU_IOAS_ALLOC)
    vmm.ioctl(fd, uapi.VFIO_DEVICE_ATTACH_IOMMUFD_PT, { pt_id: ioas_id })
    const unmap = (iova: bigint, length: bigint): bigint =>
      vmm.ioctl(iommufd, IOMMU_IOAS_UNMAP, { ioas_id, iova, length }).length
    return {
      ...made,
      fd,
      map: (user_va: bigint, length: bigint, iova: bigint) =>
        ending(() => vmm.ioctl(iommufd, IOMMU_IOAS_MAP, { ioas_id, flags: 7, user_va, length, iova })),
      unmap,
      unmapAll: () => unmap(0n, TOP - 1n),
      last: () => {
        const allowed_iovas = vmm.put(new Uint8Array(256))
        const { num_iovas } = vmm.ioctl(iommufd, IOMMU_IOAS_IOVA_RANGES, { ioas_id, num_iovas: 16, allowed_iovas })
        return new BigUint64Array(vmm.peek(allowed_iovas, 256).slice().buffer)[2 * num_iovas - 1] as bigint
      },
    }
  }
  const file = vmm.open(container)
  const groupFd = group(alias)
  vmm.ioctl(groupFd, uapi.VFIO_GROUP_SET_CONTAINER.number, pointer(file))
  vmm.ioctl(file, uapi.VFIO_SET_IOMMU.number, type)
  const fd = vmm.ioctl(groupFd, uapi.VFIO_GROUP_GET_DEVICE_FD.number, vmm.putText(made.place(alias).name))
  const unmap = (iova: bigint, size: bigint, flags = 0): bigint =>
    vmm.ioctl(file, uapi.VFIO_IOMMU_UNMAP_DMA, { flags, iova, size }).size
  return {
    ...made,
    fd,
    map: (vaddr: bigint, size: bigint, iova: bigint) =>
      ending(() => vmm.ioctl(file, uapi.VFIO_IOMMU_MAP_DMA, { flags: 3, vaddr, size, iova })),
    unmap,
    unmapAll: () => unmap(0n, 0n, uapi.VFIO_DMA_UNMAP_FLAG.ALL),
    last: () => {
      const { bytes, out } = vmm.attempt(file, uapi.VFIO_IOMMU_GET_INFO, {}, new Uint8Array(512))
      const ranges = readCapabilities(bytes, out.cap_offset).find(({ id }) => id === 1)?.body ?? new Uint8Array()
      return new BigUint64Array(ranges.slice(8).buffer).at(-1) as bigint
    },
  }
}

/** What `physical().open` opened: the device, and all files that keep it. */
interface Opened {
  readonly fd: number
  readonly files: readonly number[]
}
/** A physical function with one virtual one, and opening either by name with a token. */
function physical({ container, type }: Mode) {
  const made = lab()
  const { host, vmm, bind, place, cdev, group } = made
  bind('pf')
  host.get(Sysfs).write('/sys/module/vfio_pci/parameters/enable_sriov', 'Y')
  host.get(Sysfs).write(`/sys/bus/pci/devices/${place('pf').name}/sriov_numvfs`, '1')
  const file = vmm.open(container ?? '/dev/iommu')
  const open = (alias: string, token: string | undefined): Opened => {
    if (container === undefined) {
      const fd = cdev(alias)
      const flags = token ? uapi.VFIO_DEVICE_BIND_FLAG_TOKEN : 0
      const token_uuid_ptr = token ? vmm.put(bytesOf(token)) : 0n
      vmm.ioctl(fd, uapi.VFIO_DEVICE_BIND_IOMMUFD, { iommufd: file, flags, token_uuid_ptr })
      return { fd, files: [fd] }
    }
    const groupFd = group(alias)
    vmm.ioctl(groupFd, uapi.VFIO_GROUP_SET_CONTAINER.number, vmm.put(Uint8Array.of(file, 0, 0, 0)))
    ending(() => vmm.ioctl(file, uapi.VFIO_SET_IOMMU.number, type))
    const name = place(alias).name + (token ? ` vf_token=${token}` : '')
    const fd = vmm.ioctl(groupFd, uapi.VFIO_GROUP_GET_DEVICE_FD.number, vmm.putText(name))
    return { fd, files: [fd, groupFd] }
  }
  return { ...made, open }
}

const changeToken = (vmm: Client, { fd }: Opened): unknown =>
  vmm.ioctl(fd, uapi.VFIO_DEVICE_FEATURE, { flags: SET_TOKEN }, bytesOf(TOKENS[1]))
const closeAll = (vmm: Client, { files }: Opened): void => files.forEach((file) => vmm.close(file))

describe.each(MODES)('$name', (mode) => {
  const isType1 = mode.container === '/dev/vfio/vfio'

  test.each([
    { size: PAGE, sizes: {} },
    { size: 2n << 20n, sizes: { huge: 2 << 20 } },
  ])('memory of $size bytes is mapped, and unmapped whole', ({ size, sizes }) => {
    const { host, vmm, map, unmap, place } = opened(mode)
    const user = vmm.mmap({ bytes: size, ...sizes })
    const domain = () => host.get(IommuGroups).of(place('edu'))?.domain as { lookup?(iova: bigint): unknown }
    expect(map(user, size, 1n << 30n)).toBe('ok')
    expect(domain().lookup?.(1n << 30n)).toBeDefined()
    mustBeSound(host)
    expect(unmap(1n << 30n, size)).toBe(size)
    expect(domain().lookup?.(1n << 30n)).toBeUndefined()
  })
  test('the last page there is: mapped, unmapped by its place, and with all', () => {
    const { vmm, map, unmap, unmapAll, last } = opened(mode)
    const user = vmm.mmap({ bytes: 2n * PAGE })
    const iova = last() & ~(PAGE - 1n)
    expect([map(user, PAGE, iova), unmap(iova, PAGE)]).toEqual(['ok', PAGE])
    expect([map(user, PAGE, iova), unmapAll()]).toEqual(['ok', PAGE])
    expect([map(user, 2n * PAGE, TOP - PAGE), ending(() => unmap(TOP - PAGE, 2n * PAGE))]).toEqual([
      'EOVERFLOW',
      'EOVERFLOW',
    ])
  })
  test('a BAR is mapped for devices by type1 alone: whole, in part, at any address', () => {
    const { host, vmm, fd, map, unmapAll } = opened(mode)
    const { flags, size, offset } = vmm.ioctl(fd, uapi.VFIO_DEVICE_GET_REGION_INFO, { index: 0 })
    expect(flags & uapi.VFIO_REGION_INFO_FLAG.MMAP).not.toBe(0)
    const uva = vmm.mmap({ fd, bytes: size, offset, shared: true })
    const misplaced = vmm.mmap({ fd, bytes: size - PAGE, offset: offset + PAGE, shared: true })
    const pieces = [
      { bar: uva, bytes: size },
      { bar: uva, bytes: PAGE },
      { bar: misplaced, bytes: size - PAGE },
    ]
    const answers = pieces.map(({ bar, bytes }) => {
      const answer = map(bar, bytes, 1n << 30n)
      mustBeSound(host)
      return [answer, unmapAll()]
    })
    expect(answers).toEqual(pieces.map(({ bytes }) => (isType1 ? ['ok', bytes] : ['EFAULT', 0n])))
  })

  test.each([
    { token: TOKENS[0], title: 'the same', answers: ['ok', 'ok', 'EACCES'] },
    { token: TOKENS[1], title: 'another', answers: ['EACCES', 'EACCES', 'ok'] },
    { token: undefined, title: 'no', answers: ['EACCES', 'EACCES', 'EACCES'] },
  ])(
    'a virtual function with $title token: while the physical one is open, after it, and after a change',
    ({ token, answers }) => {
      const answer = (between: (vmm: Client, pf: Opened) => void): string => {
        const { host, vmm, place, open } = physical(mode)
        const pf = open('pf', TOKENS[0])
        between(vmm, pf)
        const vf = host.get(Pci).functions.find(({ virtfn }) => virtfn?.physfn === place('pf'))
        expect(host.get(Drivers).driverOf(vf as PciFunction)?.name).toBe('vfio-pci')
        return ending(() => open((vf as PciFunction).name, token))
      }
      expect([answer(() => undefined), answer(closeAll), answer(changeToken)]).toEqual(answers)
    },
  )
})

test.each([
  { kind: 'MSI', index: uapi.VFIO_PCI_IRQ.MSI },
  { kind: 'MSI-X', index: uapi.VFIO_PCI_IRQ.MSIX },
])('each vector of $kind is tried by its user', ({ index }) => {
  const { vmm, fd } = opened(MODES[4] as Mode, 'nic')
  const { count } = vmm.ioctl(fd, uapi.VFIO_DEVICE_GET_IRQ_INFO, { index })
  expect(count).toBeGreaterThan(0)
  const events = Array.from({ length: count }, () => vmm.eventfd())
  const { DATA_EVENTFD, DATA_NONE, ACTION_TRIGGER } = uapi.VFIO_IRQ_SET
  const set = (start: number, of: number, kind: number, data = new Uint8Array(0)): unknown =>
    vmm.ioctl(fd, uapi.VFIO_DEVICE_SET_IRQS, { flags: kind | ACTION_TRIGGER, index, start, count: of }, data)
  const read = (event: number): string => {
    const into = new Uint8Array(8)
    return ending(() => vmm.read(event, into)) + into[0]
  }
  set(0, count, DATA_EVENTFD, new Uint8Array(Int32Array.from(events).buffer))
  const seen = events.map((event, i) => [read(event), set(i, 1, DATA_NONE) && read(event)])
  expect(seen).toEqual(events.map(() => ['EAGAIN0', 'ok1']))
  set(0, 0, DATA_NONE)
})

test('the configuration space: ids, bus mastering off at first, on and off; a reset', () => {
  const { vmm, fd, place } = opened(MODES[4] as Mode, 'nic')
  const read = (at: bigint): number => {
    const into = new Uint8Array(2)
    vmm.pread(fd, CONFIG + at, into)
    return new DataView(into.buffer).getUint16(0, true)
  }
  const write = (value: number): number => vmm.pwrite(fd, CONFIG + COMMAND, Uint8Array.of(value & 0xff, value >> 8))
  expect([read(0n), read(2n)]).toEqual([idsOf(place('nic')).vendor, idsOf(place('nic')).device])
  const command = read(COMMAND)
  write(command | MASTER)
  const on = read(COMMAND)
  write(command)
  expect([command & MASTER, on, read(COMMAND)]).toEqual([0, command | MASTER, command])
  expect(vmm.ioctl(fd, uapi.VFIO_DEVICE_GET_INFO).flags & uapi.VFIO_DEVICE_FLAGS.RESET).not.toBe(0)
  expect(ending(() => vmm.ioctl(fd, uapi.VFIO_DEVICE_RESET.number))).toBe('ok')
})
