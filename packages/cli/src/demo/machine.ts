/** Chapter 1: a recorded machine, its tree and its groups. */
import { IommuGroups, Pci } from '@ioasis/core'
import { labMachine, machineHost } from '@ioasis/hosts'
import { explainedGroups, treeLines } from '../listing.ts'
import type { Terminal } from '../terminal.ts'

/** Prints tree and groups. */
export function showMachine(name: string, { line, style }: Terminal): void {
  const { description, qemu } = labMachine(name)
  const host = machineHost(name)
  line(style.title(`1  The machine q35-${name}, composed in this process`))
  line(style.dim(`${description.origin}; ${qemu}`))
  line()
  for (const one of treeLines(host.get(Pci), host.get(IommuGroups))) line(`  ${one}`)
  line()
  line(
    'A group is the smallest set of functions the IOMMU can keep apart from the rest. Those with more than one member:',
  )
  for (const group of explainedGroups(host.get(IommuGroups))) {
    if (group.members.length < 2) continue
    line(
      `  ${style.key(`group ${group.id}`)}  ${group.members.map((m) => m.name.slice(5)).join(' ')}: ${group.summary.replace(/^[^:]*: /, '')}`,
    )
  }
  line(style.dim(`  "ioasis groups ${name}" tells every step for every function.`))
  line()
  host.close()
}
