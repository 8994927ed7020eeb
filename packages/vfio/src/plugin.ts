/** The only file of this package that meets the host. */
import {
  AuditSource,
  ContainerBackend,
  FileNode,
  Files,
  IoctlTable,
  IommuGroups,
  Kernel,
  type Plugin,
  Sysfs,
  type Token,
  token,
  VfioDevices,
} from '@ioasis/core'
import { BIND_TABLE, PAGE_TABLE_TABLE } from './cdev-calls.ts'
import { Container, CONTAINER_TABLE } from './container.ts'
import { DEVICE_TABLE } from './device-calls.ts'
import { GROUP_TABLE } from './group-file.ts'
import { VfioRegistry } from './registry.ts'
import { TYPE1_TABLE } from './type1/calls.ts'
import { Type1Backend } from './type1/backend.ts'
import { Type1Claims } from './type1/claims.ts'

/** The VFIO core of this host, with what drivers of PCI functions need beyond `VfioDevices`. */
export const Vfio: Token<VfioRegistry> = token('Vfio')

/** /dev/vfio: device files, groups, and the container with type1 where the kernel has them. */
export function vfio(): Plugin {
  return {
    name: 'vfio',
    contract: 1,
    needs: [Kernel, Files, Sysfs, IommuGroups],
    provides: [Vfio, VfioDevices, ContainerBackend, FileNode, IoctlTable, AuditSource],
    setup: (host) => {
      const kernel = host.get(Kernel)
      const registry = new VfioRegistry({
        kernel,
        groups: host.get(IommuGroups),
        files: host.get(Files),
        sysfs: host.get(Sysfs),
      })
      host.provide(Vfio, registry)
      host.provide(VfioDevices, registry)
      host.provide(AuditSource, registry)
      for (const table of [BIND_TABLE, PAGE_TABLE_TABLE, DEVICE_TABLE, GROUP_TABLE]) host.provide(IoctlTable, table)
      if (kernel.container !== 'type1') return
      const type1 = new Type1Backend(kernel.pageSize)
      host.provide(ContainerBackend, type1)
      host.provide(AuditSource, new Type1Claims(type1, kernel.pageSize))
      for (const table of [CONTAINER_TABLE, TYPE1_TABLE]) host.provide(IoctlTable, table)
      host.provide(FileNode, {
        path: '/dev/vfio/vfio',
        mode: 0o666,
        open: () => new Container(host.all(ContainerBackend)),
      })
    },
  }
}
