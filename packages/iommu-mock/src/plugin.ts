/** The only file of this package that meets the host. */
import {
  AuditSource,
  type Bdf,
  Bus,
  type Cpu,
  Cpus,
  type Hpa,
  IoctlTable,
  IommuDriver,
  IommuGroups,
  IommuUnit,
  Kernel,
  Memory,
  Pages,
  type Plugin,
  type PluginHost,
  Tracer,
  UserFrames,
} from '@ioasis/core'
import { MockIommu, type MockUnits } from './driver/mock-iommu.ts'
import { MockUnit } from './hw/unit.ts'
import { testTable } from './rows/test-table.ts'
import { DEVICE_TABLE_BYTES } from './spec/device-table.ts'
import { REGISTER, REGISTERS_BYTES } from './spec/registers.ts'

/** How the mock stands in a host. */
export interface MockOptions {
  /**
   * Units of silicon for functions on PCI, each with the requesters it covers. Default: none, as in Linux, where the mock's
   * devices are made by IOMMU_TEST alone.
   */
  readonly units?: readonly IommuUnit['covers'][]
}

/** Registers of the first unit; those of the others follow. */
const REGISTERS: Hpa = 0xfed0_0000

/** The mock IOMMU: IOMMU_TEST on /dev/iommu, where the kernel was built for it (`Kernel.test`); and `units` for functions on PCI. */
export function iommuMock({ units = [] }: MockOptions = {}): Plugin {
  return {
    name: 'iommu-mock',
    contract: 1,
    needs: [Kernel, Cpus, Memory, Pages, UserFrames, IommuGroups, Bus, Tracer],
    provides: [IoctlTable, AuditSource, ...(units.length > 0 ? [IommuDriver, IommuUnit] : [])],
    setup(host) {
      const { test, iommufd, pageSize } = host.get(Kernel)
      const answersTests = test && iommufd
      if (!answersTests && units.length === 0) return
      const [cpu] = host.get(Cpus)
      const pages = host.get(Pages)
      const silicon = units.length > 0 ? addUnits(host, cpu, units) : undefined
      const mock = new MockIommu({ cpu, pages, flushWrites: false }, pageSize, host.get(IommuGroups), silicon)
      host.provide(AuditSource, mock)
      if (silicon) host.provide(IommuDriver, mock)
      if (!answersTests) return
      host.provide(IoctlTable, testTable({ mock, memory: host.get(Memory), frames: host.get(UserFrames) }, pages))
    },
  }
}

/** Places units, and tells each where the device table lies. */
function addUnits(host: PluginHost, cpu: Cpu, units: readonly IommuUnit['covers'][]): MockUnits {
  const memory = host.get(Memory)
  const table = host.get(Pages).alloc(DEVICE_TABLE_BYTES, 'mock device table')
  const placed = units.map((covers, i) => {
    const at = REGISTERS + i * REGISTERS_BYTES
    const unit = new MockUnit(`mock${i}`, covers, memory, () => reportFault(host, cpu, at, unit))
    memory.addMmio(at, REGISTERS_BYTES, unit.mmio, unit.name)
    host.get(Bus).addUnit(unit)
    host.provide(IommuUnit, unit)
    cpu.store(at + REGISTER.DEVICE_TABLE, 8, BigInt(table))
    return unit
  })
  const unitOf = (segment: number, requester: Bdf): string | undefined =>
    placed.find((unit) => unit.covers(segment, requester))?.name
  return { table, unitOf }
}

/** The fault interrupt: the driver reads the log and tells. */
function reportFault(host: PluginHost, cpu: Cpu, at: Hpa, unit: MockUnit): void {
  const told = (register: number): bigint => cpu.load(at + register, 8)
  const reason = Number(told(REGISTER.FAULT_REASON))
  host.get(Tracer).emit('fault', {
    unit: unit.name,
    requester: Number(told(REGISTER.FAULT_REQUESTER)),
    iova: told(REGISTER.FAULT_IOVA),
    reason,
    write: told(REGISTER.FAULT_ACCESS) !== 1n,
    text: `mock: ${unit.reasonText(reason)}`,
  })
}
