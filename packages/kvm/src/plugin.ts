/** The one file that meets the host. */
import {
  AuditSource,
  type Claim,
  Cpus,
  FileNode,
  HypervisorHooks,
  IoctlTable,
  type Plugin,
  Tracer,
  UserFrames,
} from '@ioasis/core'
import { KVM_TABLES, KvmFile } from './files.ts'
import { POWER_TABLES } from './power-files.ts'
import { KvmVm, type VmHost } from './vm.ts'

/** What KVM is told of its host. */
export interface KvmOptions {
  /** POWER with the HV module: VMs have TCE tables, and guests hypercalls to fill them. Default false. */
  readonly power?: boolean
}

/**
 * /dev/kvm as far as device assignment needs it. It asks VFIO files through core's `AssignedFile`, and tells of what it does
 * through the trace events `noncoherent`, `guestWbinvd` and `wbinvd`.
 */
export const kvm = ({ power = false }: KvmOptions = {}): Plugin => ({
  name: 'kvm',
  contract: 1,
  needs: [UserFrames, Cpus, Tracer],
  provides: [FileNode, HypervisorHooks, IoctlTable, AuditSource],
  setup: (host) => {
    const vms = new Set<KvmVm>()
    const vmHost: VmHost = {
      frames: host.get(UserFrames),
      cpu: host.get(Cpus)[0],
      trace: host.get(Tracer),
      power,
      ended: (vm) => vms.delete(vm),
    }
    host.provide(FileNode, { path: '/dev/kvm', open: () => new KvmFile(vmHost, (vm) => vms.add(vm)) })
    host.provide(HypervisorHooks, { keep: (vm) => (vm instanceof KvmVm && vms.has(vm) ? kept(vm) : undefined) })
    for (const table of power ? [...KVM_TABLES, ...POWER_TABLES] : KVM_TABLES) host.provide(IoctlTable, table)
    host.provide(AuditSource, { name: 'kvm', claims: () => [...vms].map(registrations) })
  },
})

function kept(vm: KvmVm): () => void {
  vm.get()
  return () => vm.put()
}

/** A VM counts its kvm-vfio device while one of that device's files is not coherent. */
const registrations = ({ noncoherent, vfio }: KvmVm): Claim => ({
  kind: 'count',
  what: 'non-coherent registrations of a VM',
  actual: noncoherent.registered,
  expected: vfio?.noncoherent ? 1 : 0,
})
