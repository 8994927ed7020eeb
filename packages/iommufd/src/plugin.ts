/** The only file of this package that meets the host: /dev/iommu, and /dev/vfio/vfio where the kernel has no other container. */
import {
  addSwitch,
  AuditSource,
  Failures,
  FileNode,
  IoctlDispatch,
  IoctlTable,
  IommuGroups,
  Kernel,
  type Plugin,
  type PluginHost,
  Sysfs,
} from '@ioasis/core'
import { Contexts } from './claims.ts'
import { iommufdTable } from './ioctls.ts'
import { IommufdFile } from './iommufd-file.ts'
import { OpenContext } from './kernel-objects.ts'
import { containerTable } from './vfio-compat.ts'

/** `/dev/iommu` as the kernel of the host has it: nothing when it was built without. */
export function iommufd(): Plugin {
  return {
    name: 'iommufd',
    contract: 1,
    needs: [Kernel, IommuGroups, Sysfs],
    provides: [FileNode, IoctlTable, AuditSource],
    setup: (host) => {
      const kernel = host.get(Kernel)
      if (!kernel.iommufd) return
      const open = opener(host, kernel)
      host.provide(FileNode, { path: '/dev/iommu', mode: 0o660, open: () => open('user') })
      if (kernel.container === 'iommufd') {
        host.provide(FileNode, { path: '/dev/vfio/vfio', mode: 0o666, open: () => open('mm') })
      }
    },
  }
}

/** @returns opens a file with a context of its own. Tables that other packages add for `iommufd` extend its calls. */
function opener(host: PluginHost, { pageSize, test }: Kernel): (accountMode: 'user' | 'mm') => IommufdFile {
  const contexts = new Contexts()
  host.provide(AuditSource, contexts)
  for (const table of [iommufdTable, containerTable]) host.provide(IoctlTable, table)
  const unsafeInterrupts = { enabled: false }
  addSwitch(host.get(Sysfs), '/sys/module/iommufd/parameters/allow_unsafe_interrupts', unsafeInterrupts)
  const groups = host.get(IommuGroups)
  const parts = { groups, pageBytes: pageSize, test, unsafeInterrupts, failures: host.get(Failures) }
  let dispatch: IoctlDispatch | undefined
  return (accountMode) => {
    dispatch ??= new IoctlDispatch(host.all(IoctlTable).filter((table) => table.file === 'iommufd'))
    const context = contexts.add(new OpenContext(parts, accountMode, (ended) => contexts.delete(ended)))
    return new IommufdFile(context, dispatch)
  }
}
