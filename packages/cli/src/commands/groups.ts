/** `ioasis groups`: a machine's tree, its IOMMU groups, and why each group is what it is. */
import { Bus, type Host, IommuGroups, Pci } from '@ioasis/core'
import { machineHost } from '@ioasis/hosts'
import { intelIommu } from '@ioasis/iommu-intel'
import { Command } from 'commander'
import { explainedGroups, treeLines } from '../listing.ts'
import { MACHINE_HELP, type NamedMachine, namedMachine } from '../machine-argument.ts'
import { type Terminal, toJson } from '../terminal.ts'

/** Builds the sub-command. */
export const groups = (terminal: Terminal): Command =>
  new Command('groups')
    .description('Show the tree of a machine, its IOMMU groups, and why each group is what it is.')
    .argument('<machine>', MACHINE_HELP)
    .option('--json', 'print as JSON')
    .action((argument: string, { json }: { json?: true }) => {
      const machine = namedMachine(argument)
      const host = hostOf(machine)
      try {
        if (json) terminal.line(toJson(asData(machine, host)))
        else print(machine, host, terminal)
      } finally {
        host.close()
      }
    })

/** The machine as a host; a dump that tells of no IOMMU gets one, so that its groups can be told. */
export const hostOf = ({ description, source, dump }: NamedMachine): Host =>
  dump ? machineHost(description, { plugins: [intelIommu()] }) : machineHost(source)

function asData({ description, remarks }: NamedMachine, host: Host): unknown {
  return {
    machine: description.name,
    origin: description.origin,
    remarks,
    groups: explainedGroups(host.get(IommuGroups)),
  }
}

function print({ description, remarks }: NamedMachine, host: Host, { line, style }: Terminal): void {
  line(style.title(description.name) + style.dim(`  ${description.origin}`))
  for (const remark of remarks) line(style.dim(`note: ${remark}`))
  line()
  for (const one of treeLines(host.get(Pci), host.get(IommuGroups))) line(one)
  const units = host.get(Bus).units
  line()
  line(
    units.length > 0
      ? `${units.length} IOMMU unit(s): ${units.map((u) => u.name).join(', ')}`
      : 'no IOMMU silicon is modelled for it',
  )
  for (const group of explainedGroups(host.get(IommuGroups))) {
    line()
    line(style.key(`group ${group.id}`) + `  ${group.type}  ${group.members.map((m) => m.name).join(' ')}`)
    line(`  ${group.summary}`)
    for (const member of group.members) for (const why of member.because) line(style.dim(`  ${member.name}: ${why}`))
    line(
      style.dim(`  reserved: ${group.reserved.map((r) => `${r.first}-${r.last} ${r.type}`).join(', ') || 'nothing'}`),
    )
  }
}
