/** The parts every host has, with or without an IOMMU: memory, CPUs, clock, bus, PCI, groups. */
import { AuditSource } from './audit.ts'
import { Clock, VirtualClock } from './clock.ts'
import { Bus, DmaFabric } from './dma/fabric.ts'
import { InterruptController } from './dma/interrupt-controller.ts'
import { Interrupts } from './dma/interrupt.ts'
import { DriverCore, Drivers } from './driver/binding.ts'
import { DriverSysfs } from './driver/driver-sysfs.ts'
import { FileNode } from './file/file-ops.ts'
import { Files, FileSystem } from './file/file-system.ts'
import { FailurePoints, Failures } from './failure-points.ts'
import { IommuDriver } from './iommu/driver.ts'
import { GroupRegistry, IommuGroups } from './iommu/groups.ts'
import { GroupSysfs } from './iommu/group-sysfs.ts'
import { Kernel } from './kernel.ts'
import { type CacheGeometry, CpuCaches } from './memory/cpu-cache.ts'
import { Cpus } from './memory/cpu.ts'
import { HostMemory, Memory } from './memory/host-memory.ts'
import { makeCpus } from './memory/memory-cpu.ts'
import { PageAllocator, Pages } from './memory/page-allocator.ts'
import { enableAcs } from './pci/acs.ts'
import { PciSysfs } from './pci/pci-sysfs.ts'
import { PciQuirk } from './pci/function.ts'
import { Pci, PciTopology } from './pci/topology.ts'
import { CompositionError, type Plugin, type PluginHost } from './plugin/plugin.ts'
import { Frames, UserFrames } from './process/frames.ts'
import { Processes, ProcessTable } from './process/process.ts'
import { Sysfs, SysfsTree } from './sysfs.ts'
import { Trace, Tracer } from './trace.ts'

/** Memory and CPUs of a machine. */
export interface MachineOptions {
  /** Bytes of RAM from address 0 on, or ranges. Default: 64 MiB. RAM that nobody touches costs nothing. */
  readonly ram?: number | readonly { readonly first: number; readonly bytes: number }[]
  /** Number of CPUs; default 1. */
  readonly cpus?: number
  /** Model the CPUs' write-back caches: `true` for 32 KiB in 8 ways, or a geometry. Slower; off by default. */
  readonly cache?: boolean | CacheGeometry
  /**
   * Memory as on a machine that has run for a while: pages that a process gets one after the other do not follow each other in
   * RAM, so that small mappings are not joined into larger pages by chance. Default false: they follow, as far as there is room.
   */
  readonly scattered?: boolean
}

const DEFAULT_RAM = 64 * 2 ** 20
const DEFAULT_CACHE: CacheGeometry = { bytes: 32768, ways: 8 }

/** What `createHost` sets up before every other plug-in. */
export function machine(options: MachineOptions = {}): Plugin {
  return {
    name: 'machine',
    contract: 1,
    needs: [Kernel],
    provides: [
      Failures,
      Memory,
      Cpus,
      Pages,
      Clock,
      Tracer,
      Interrupts,
      Bus,
      Pci,
      Drivers,
      IommuGroups,
      Sysfs,
      Files,
      UserFrames,
      Processes,
      AuditSource,
    ],
    setup: (host) => {
      const memory = physicalMemory(options)
      const trace = new Trace()
      const clock = new VirtualClock()
      const cpus = processors(options, memory)
      const failures = new FailurePoints()
      const pages = new PageAllocator(memory, cpus[0], failures)
      host.provide(Failures, failures)
      host.provide(Memory, memory)
      host.provide(Tracer, trace)
      host.provide(Clock, clock)
      host.provide(Cpus, cpus)
      host.provide(Pages, pages)
      const sysfs = new SysfsTree()
      const files = new FileSystem(sysfs)
      host.provide(Sysfs, sysfs)
      host.provide(Files, files)
      host.onReady(() => host.all(FileNode).forEach((node) => files.add(node)))
      const frames = new Frames(pages, cpus[0], host.get(Kernel).pageSize, options.scattered, failures)
      host.provide(UserFrames, frames)
      host.provide(Processes, new ProcessTable(frames))
      bus(host, memory, trace, sysfs)
    },
  }
}

function physicalMemory({ ram = DEFAULT_RAM, cache }: MachineOptions): HostMemory {
  const memory = new HostMemory({ views: !cache })
  try {
    for (const { first, bytes } of typeof ram === 'number' ? [{ first: 0, bytes: ram }] : ram)
      memory.addRam(first, bytes)
  } catch (error) {
    throw new CompositionError(`machine: ${(error as Error).message}`)
  }
  return memory
}

function processors(options: MachineOptions, memory: HostMemory): ReturnType<typeof makeCpus> {
  const count = options.cpus ?? 1
  if (!(count >= 1) || !Number.isInteger(count))
    throw new CompositionError(`machine: ${count} CPUs; at least 1 is needed`)
  if (!options.cache) return makeCpus(memory, undefined, count)
  const caches = new CpuCaches(memory, count, options.cache === true ? DEFAULT_CACHE : options.cache)
  memory.snoop = caches
  return makeCpus(memory, caches, count)
}

/** PCI, DMA, interrupts, and what the kernel makes of them at boot: groups, then drivers. */
function bus(host: PluginHost, memory: HostMemory, trace: Trace, sysfs: SysfsTree): void {
  const interrupts = new InterruptController(trace)
  const fabric = new DmaFabric(memory, interrupts, trace)
  const pci = new PciTopology(memory, fabric, trace, interrupts)
  const groups = new GroupRegistry(pci, new GroupSysfs(sysfs))
  const drivers = new DriverCore(pci, groups)
  const functions = new PciSysfs(sysfs, drivers)
  const driverDirectories = new DriverSysfs(sysfs, drivers, pci)
  host.provide(Interrupts, interrupts)
  host.provide(Bus, fabric)
  host.provide(Pci, pci)
  host.provide(IommuGroups, groups)
  host.provide(AuditSource, groups)
  host.provide(AuditSource, {
    name: 'bus',
    claims: () => [{ kind: 'count', what: 'ports of the bus', actual: fabric.ports, expected: pci.functions.length }],
  })
  host.provide(Drivers, drivers)
  host.onReady(() => {
    const iommus = host.all(IommuDriver)
    for (const quirk of host.all(PciQuirk)) pci.addQuirk(quirk)
    // As the kernel does before it makes groups: pci_request_acs() by the IOMMU drivers, pci_enable_acs() per function.
    if (iommus.length > 0) {
      for (const fn of pci.functions) enableAcs(fn)
      pci.onAdded(enableAcs)
    }
    pci.findBootDisplay()
    functions.start(pci)
    driverDirectories.start()
    groups.start(iommus)
    drivers.start()
  })
  host.onClose(() => {
    groups.close()
    pci.close()
  })
}
