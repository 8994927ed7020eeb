/** The only file of this package that meets the host. */
import {
  addSwitch,
  AuditSource,
  Clock,
  ContainerBackend,
  FileNode,
  Files,
  HypervisorHooks,
  IoctlTable,
  IommuGroups,
  Kernel,
  type Plugin,
  Sysfs,
  type Token,
  token,
  Tracer,
  VfioDevices,
} from '@ioasis/core'
import { BIND_TABLE, PAGE_TABLE_TABLE } from './cdev-calls.ts'
import { Container, CONTAINER_TABLE } from './container.ts'
import { DEVICE_TABLE } from './device-calls.ts'
import { GROUP_TABLE } from './group-file.ts'
import { NoIommuBackend, type NoIommuMode } from './noiommu.ts'
import { VfioRegistry } from './registry.ts'
import { TYPE1_TABLE } from './type1/calls.ts'
import { Type1Backend } from './type1/backend.ts'
import { Type1Claims } from './type1/claims.ts'
import { addType1Parameters, type1Parameters } from './type1/parameters.ts'

/** The VFIO core of this host, with what drivers of PCI functions need beyond `VfioDevices`. */
export const Vfio: Token<VfioRegistry> = token('Vfio')

const NOIOMMU_PARAMETER = '/sys/module/vfio/parameters/enable_unsafe_noiommu_mode'

/** /dev/vfio: device files, groups, and the container with type1 where the kernel has them. */
export function vfio(): Plugin {
  return {
    name: 'vfio',
    contract: 1,
    needs: [Kernel, Files, Sysfs, Clock, Tracer, IommuGroups],
    provides: [Vfio, VfioDevices, ContainerBackend, FileNode, IoctlTable, AuditSource],
    setup: (host) => {
      const kernel = host.get(Kernel)
      const noIommu: NoIommuMode = { enabled: kernel.noiommu, tainted: false }
      const sysfs = host.get(Sysfs)
      const trace = host.get(Tracer)
      // Every kernel here that has iommufd was built with CONFIG_VFIO_NOIOMMU.
      const offersNoIommu = kernel.iommufd || kernel.noiommu
      if (offersNoIommu) addSwitch(sysfs, NOIOMMU_PARAMETER, noIommu)
      const registry = new VfioRegistry({
        kernel,
        groups: host.get(IommuGroups),
        files: host.get(Files),
        sysfs,
        noIommu,
        clock: host.get(Clock),
        log: (text) => trace.emit('warned', { text }),
        hypervisors: () => host.all(HypervisorHooks),
      })
      host.provide(Vfio, registry)
      host.provide(VfioDevices, registry)
      host.provide(AuditSource, registry)
      for (const table of [BIND_TABLE, PAGE_TABLE_TABLE, DEVICE_TABLE, GROUP_TABLE]) host.provide(IoctlTable, table)
      if (kernel.container !== 'type1' && kernel.container !== 'spapr') return
      host.provide(IoctlTable, CONTAINER_TABLE)
      if (kernel.container === 'type1') {
        const parameters = type1Parameters()
        addType1Parameters(sysfs, parameters)
        const type1 = new Type1Backend(kernel.pageSize, parameters)
        host.provide(ContainerBackend, type1)
        host.provide(AuditSource, new Type1Claims(type1, kernel.pageSize))
        host.provide(IoctlTable, TYPE1_TABLE)
      }
      if (offersNoIommu) host.provide(ContainerBackend, new NoIommuBackend(noIommu))
      host.provide(FileNode, {
        path: '/dev/vfio/vfio',
        mode: 0o666,
        open: () => new Container(host.all(ContainerBackend)),
      })
    },
  }
}
