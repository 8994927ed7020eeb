/** Hosts in one call. Each is what its few lines say: copy them to compose another one. */
import { createHost, type Host, type HostOptions } from '@ioasis/core'
import { amdIommu, type AmdOptions } from '@ioasis/iommu-amd'
import { intelIommu, type IntelOptions } from '@ioasis/iommu-intel'
import { firmware } from './firmware.ts'
import { labMachine } from './lab.ts'
import { parseLspci } from './lspci.ts'
import type { MachineDescription } from './machine-description.ts'
import { recordedMemory, type RecordedOptions, recordedPlugins } from './recorded-machine.ts'

/** A preset's options besides its own: memory and CPUs, the kernel, further plug-ins. */
export type PresetOptions = HostOptions

/** A machine with an Intel IOMMU; BARs of `plugins`' functions get addresses. @param options `iommu`: how it differs from one VT-d unit that covers everything */
export const intelHost = ({ iommu, plugins = [], ...rest }: PresetOptions & { iommu?: IntelOptions } = {}): Host =>
  createHost({ ...rest, plugins: [intelIommu(iommu), ...plugins, firmware()] })

/** A machine with an AMD IOMMU. @param options `iommu`: how it differs from one AMD-Vi unit that covers everything */
export const amdHost = ({ iommu, plugins = [], ...rest }: PresetOptions & { iommu?: AmdOptions } = {}): Host =>
  createHost({ ...rest, plugins: [amdIommu(iommu), ...plugins, firmware()] })

/** A described machine as a host. @throws CompositionError naming what cannot be composed */
export const describedHost = (
  description: MachineDescription,
  { plugins = [], machine, kernel = {}, ...recorded }: PresetOptions & RecordedOptions = {},
): Host =>
  createHost({
    machine: { ...recordedMemory(description), ...machine },
    kernel,
    plugins: [...recordedPlugins(description, recorded), ...plugins, firmware()],
  })

/**
 * A lab machine by name (`intel-sc`, `q35-amd`), or a parsed machine file.
 * @throws CompositionError for a name that is none, listing all
 */
export function machineHost(machine: string | MachineDescription, options: PresetOptions & RecordedOptions = {}): Host {
  if (typeof machine !== 'string') return describedHost(machine, options)
  const { description, identityDefault, addressWidth } = labMachine(machine)
  const kernel = { noiommu: description.iommu === undefined, ...options.kernel }
  return describedHost(description, { identityDefault, addressWidth, personality: 'qemu', ...options, kernel })
}

/**
 * The machine of an `lspci -xxxx` dump, with one VT-d unit that covers everything: what its groups would be.
 * @throws CompositionError naming the line that cannot be read
 */
export function lspciHost(
  text: string,
  { iommu, plugins = [], ...options }: PresetOptions & RecordedOptions & { source?: string; iommu?: IntelOptions } = {},
): Host {
  return describedHost(parseLspci(text, options.source), { ...options, plugins: [intelIommu(iommu), ...plugins] })
}
