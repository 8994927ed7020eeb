/** The one file that meets the host. */
import { AuditSource, type Claim, Cpus, FileNode, IoctlTable, type Plugin, Tracer, UserFrames } from '@ioasis/core'
import { KVM_TABLES, KvmFile } from './files.ts'
import type { KvmVm, VmHost } from './vm.ts'

/**
 * /dev/kvm as far as device assignment needs it. It asks VFIO files through core's `AssignedFile`, and tells of what it does
 * through the trace events `noncoherent`, `guestWbinvd` and `wbinvd`.
 */
export const kvm = (): Plugin => ({
  name: 'kvm',
  contract: 1,
  needs: [UserFrames, Cpus, Tracer],
  provides: [FileNode, IoctlTable, AuditSource],
  setup: (host) => {
    const vms = new Set<KvmVm>()
    const vmHost: VmHost = {
      frames: host.get(UserFrames),
      cpu: host.get(Cpus)[0],
      trace: host.get(Tracer),
      ended: (vm) => vms.delete(vm),
    }
    host.provide(FileNode, { path: '/dev/kvm', open: () => new KvmFile(vmHost, (vm) => vms.add(vm)) })
    for (const table of KVM_TABLES) host.provide(IoctlTable, table)
    host.provide(AuditSource, { name: 'kvm', claims: () => [...vms].map(registrations) })
  },
})

/** A VM counts its kvm-vfio device while one of that device's files is not coherent. */
const registrations = ({ noncoherent, vfio }: KvmVm): Claim => ({
  kind: 'count',
  what: 'non-coherent registrations of a VM',
  actual: noncoherent.registered,
  expected: vfio?.noncoherent ? 1 : 0,
})
