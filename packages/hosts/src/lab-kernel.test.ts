import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import {
  Client,
  Drivers,
  type Host,
  IommuGroups,
  Memory,
  NO_PAGE,
  type PageObject,
  Pages,
  Pci,
  type PciFunction,
  Processes,
  RegionPages,
  RemoteMemory,
  UserFrames,
} from '@ioasis/core'
import { IOMMU_IOAS_ALLOC, IOMMU_IOAS_MAP } from '@ioasis/iommufd'
import {
  KVM_CREATE_DEVICE,
  KVM_CREATE_VM,
  KVM_DEV_TYPE_VFIO,
  KVM_DEV_VFIO_FILE,
  KVM_DEV_VFIO_FILE_ADD,
  KVM_SET_DEVICE_ATTR,
} from '@ioasis/kvm'
import {
  EXEMPTIONS,
  mustBeSound,
  mutateTraces,
  playTraces,
  RandomSource,
  readTraces,
  type ScenarioOutcome,
  tallyTraces,
  traceClosingLine,
  traceDifferenceLine,
  type TraceScenario,
} from '@ioasis/testkit'
import { VFIO_DEVICE_ATTACH_IOMMUFD_PT, VFIO_DEVICE_BIND_IOMMUFD } from '@ioasis/uapi'
import { describe, expect, test } from 'vitest'
import { labHost, labTraceMachine } from './lab-kernel.ts'

/** Asserted: nothing in these may differ. Areas that are not listed are not in the test data either. */
const AREAS =
  'coherency config-space dma emulated-mdev iommufd-compat iommufd-hwpt iommufd-ioas iommufd-map kvm-vfio page-tables region-irq-info sriov topology type1 vfio-cdev vfio-group'
const WITHOUT_IOMMU =
  'coherency config-space dma iommufd-compat iommufd-ioas iommufd-map kvm-vfio noiommu region-irq-info sriov topology type1 vfio-group'
const ALL_AREAS =
  'coherency config-space dma emulated-mdev iommufd-compat iommufd-hwpt iommufd-ioas iommufd-map kvm-vfio region-irq-info sriov topology type1 vfio-cdev vfio-group'
const RECORDED: Readonly<Record<string, string>> = {
  'amd.type1': ALL_AREAS,
  'amd.compat': ALL_AREAS,
  'intel.type1': AREAS,
  'intel-sc.type1': AREAS,
  'intel-sc.compat': AREAS,
  'noiommu.type1': WITHOUT_IOMMU,
  'intel.test': 'iommufd-compat iommufd-hwpt iommufd-ioas iommufd-map mock',
}
const MACHINES = Object.keys(RECORDED)
const SEED = 20261120
const MUTATIONS = 1000

const testData = (machine: string): URL =>
  new URL(`testdata/traces/${machine}.jsonl.gz`, import.meta.resolve('@ioasis/testkit/package.json'))
const recorded = (machine: string): readonly TraceScenario[] =>
  readTraces(gunzipSync(readFileSync(fileURLToPath(testData(machine)))).toString(), machine)

describe.each(MACHINES)('recorded on %s', (machine) => {
  const scenarios = recorded(machine)
  let outcomes: readonly ScenarioOutcome[] = []

  test('every answer is the kernel’s, and the audit holds after each step', () => {
    expect([...new Set(scenarios.map(({ scenario }) => scenario.split('/')[0]))].join(' ')).toBe(RECORDED[machine])
    outcomes = playTraces(scenarios, { make: (name) => labTraceMachine(name) })
    console.log(`${machine}: ${traceClosingLine(outcomes)}`)
    const differences = outcomes.flatMap((o) => o.differences).filter((d) => d.exempt === undefined)
    expect(differences.map(traceDifferenceLine)).toEqual([])
    expect(tallyTraces(outcomes).exempt).toBeLessThanOrEqual(tallyTraces(outcomes).steps * 0.002)
  }, 60_000)

  test('at least 99 of 100 altered values are noticed', () => {
    const { tried, noticed, missed } = mutateTraces(outcomes, MUTATIONS, new RandomSource(SEED))
    console.log(`${machine}: ${noticed} of ${tried} altered values noticed, seed ${SEED}; not: ${missed.join('; ')}`)
    expect(noticed / tried).toBeGreaterThanOrEqual(0.99)
  }, 60_000)

  test('backwards, each scenario finds what it needs: none leans on the one before', () => {
    // What these show lies in devices that nothing resets: there the order counts, as on the machine.
    const reversed = scenarios.filter(({ scenario }) => !scenario.startsWith('config-space/')).toReversed()
    const before = ({ scenario }: TraceScenario): readonly TraceScenario[] =>
      scenarios.filter((other) => other.scenario < scenario)
    const played = playTraces(reversed, { make: (name) => labTraceMachine(name), before, audit: false })
    expect(played.flatMap((o) => o.differences).map(traceDifferenceLine)).toEqual([])
  }, 60_000)
})

test('no exemption names an errno', () => {
  expect(EXEMPTIONS.filter(({ field }) => field === 'errno' || field === 'ret')).toEqual([])
})

describe('a process that lives elsewhere', () => {
  /** Beyond all RAM and registers of the machine. */
  const PLACE = 2 ** 40
  const HUGE = 2 ** 21

  /** Gives processes memory without views. @param made told of each piece */
  function remoteMemory(made: (memory: RemoteMemory) => void) {
    let next = PLACE
    return (host: Host, bytes: number): PageObject => {
      const { pageBytes } = host.get(UserFrames)
      const size = Math.ceil(bytes / pageBytes) * pageBytes
      const memory = new RemoteMemory(size)
      const first = next
      next += Math.ceil(size / HUGE + 1) * HUGE
      host.get(Memory).addBacking(first, size, memory)
      made(memory)
      return new RegionPages({ name: 'remote', first, bytes: size, pageBytes, pinnable: true })
    }
  }

  test.each(MACHINES)('the recordings of iommufd-map on %s hold over its memory as well', (machine) => {
    const pieces: RemoteMemory[] = []
    const scenarios = recorded(machine).filter(({ scenario }) => scenario.startsWith('iommufd-map/'))
    const outcomes = playTraces(scenarios, {
      make: (name) => {
        const lab = labTraceMachine(name)
        const remote = remoteMemory((memory) => pieces.push(memory))
        return { ...lab, memory: ({ bytes }) => remote(lab.host, bytes) }
      },
    })
    expect(outcomes.flatMap((o) => o.differences).map(traceDifferenceLine)).toEqual([])
    expect(pieces.length).toBeGreaterThan(scenarios.length)
  })

  test('a struct whose memory fails at a byte is EFAULT, and leaves nothing', () => {
    const host = labHost('intel-sc.type1')
    const pieces: RemoteMemory[] = []
    const make = remoteMemory((memory) => pieces.push(memory))
    const vmm = new Client(host, host.get(Processes).spawn())
    const iommufd = vmm.open('/dev/iommu')
    const object = make(host, 4096)
    const uva = vmm.process.addressSpace.mmap({ bytes: 4096, object, shared: true })
    vmm.poke(uva, IOMMU_IOAS_ALLOC.struct?.make({ size: 12 }) ?? new Uint8Array(12))
    const [piece] = pieces
    for (const failAt of [0, 3, 4, 11]) {
      if (piece) piece.failAt = failAt
      expect(() => vmm.ioctl(iommufd, IOMMU_IOAS_ALLOC.number, uva), `byte ${failAt}`).toThrow('EFAULT')
    }
    if (piece) piece.failAt = undefined
    vmm.ioctl(iommufd, IOMMU_IOAS_ALLOC.number, uva)
    expect(new DataView(vmm.peek(uva + 8n, 4).buffer).getUint32(0, true)).toBe(1)
    expect(object.peek(1)).toBe(NO_PAGE)
    mustBeSound(host)
    vmm.exit()
    host.close()
  })
})

/** One device, all layers: mapped, and known to a virtual machine. @returns the descriptors */
function wholePath(vmm: Client): number[] {
  const iommufd = vmm.open('/dev/iommu')
  const device = vmm.open('/dev/vfio/devices/vfio0')
  vmm.ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, { iommufd })
  const { out_ioas_id } = vmm.ioctl(iommufd, IOMMU_IOAS_ALLOC, {})
  vmm.ioctl(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, { pt_id: out_ioas_id })
  const user_va = vmm.mmap({ bytes: 0x10000 })
  vmm.ioctl(iommufd, IOMMU_IOAS_MAP, { flags: 7, ioas_id: out_ioas_id, user_va, length: 0x10000n, iova: 0x100000n })
  const vm = vmm.ioctl(vmm.open('/dev/kvm'), KVM_CREATE_VM)
  const { fd } = vmm.ioctl(vm, KVM_CREATE_DEVICE, { type: KVM_DEV_TYPE_VFIO })
  const addr = vmm.put(Uint8Array.of(device, 0, 0, 0))
  vmm.ioctl(fd, KVM_SET_DEVICE_ATTR, { group: KVM_DEV_VFIO_FILE, attr: KVM_DEV_VFIO_FILE_ADD, addr })
  return [iommufd, device, vm, fd]
}
const orders = (list: readonly number[]): number[][] =>
  list.length < 2
    ? [[...list]]
    : list.flatMap((one) => orders(list.filter((o) => o !== one)).map((rest) => [one].concat(rest)))

describe('closing everything', () => {
  const host = labHost('intel-sc.type1')
  const drivers = host.get(Drivers)
  const nic = host.get(Pci).functions.find((fn) => fn.name === '0000:01:00.0') as PciFunction
  const group = host.get(IommuGroups).of(nic)
  drivers.setOverride(nic, 'vfio-pci')
  drivers.bind('vfio-pci', nic)

  test.each(orders([0, 1, 2, 3]).map((order) => ({ order })))('in the order $order leaves nothing', ({ order }) => {
    const pages = host.get(Pages).allocated
    const vmm = new Client(host, host.get(Processes).spawn())
    const fds = wholePath(vmm)
    expect(host.get(UserFrames).pinned).toBe(16)
    for (const i of order) {
      vmm.close(fds[i] as number)
      mustBeSound(host)
    }
    expect(host.get(UserFrames).pinned).toBe(0)
    expect(group?.owner).toBeUndefined()
    vmm.exit()
    expect(host.get(Pages).allocated).toBe(pages)
  })
})

test('names a machine or a kernel that is not known', () => {
  expect(() => labHost('intel-sc')).toThrow(
    '"intel-sc" is no MACHINE.KERNEL with a kernel of debian, type1, compat, test',
  )
  expect(() => labHost('intel-sc.mainline')).toThrow('kernel "mainline" is not known')
  expect(() => labHost('intel-xx.type1')).toThrow('machine "intel-xx" is not known')
})
