/** `ioasis groups`: a machine's tree, its IOMMU groups, and why each group is what it is. */
import { Bus, type Host, IommuGroups, Pci } from '@ioasis/core'
import { Command } from 'commander'
import { explainedGroups, treeLines } from '../listing.ts'
import { hostOf, MACHINE_HELP, type NamedMachine, namedMachine } from '../machine-argument.ts'
import { type Terminal, toJson } from '../terminal.ts'

/** Builds the sub-command. */
export const groups = (terminal: Terminal): Command =>
  new Command('groups')
    .summary('Explain the IOMMU groups of a machine.')
    .description('Show the tree of a machine, its IOMMU groups, and why each group is what it is.')
    .argument('<machine>', MACHINE_HELP)
    .option('--json', 'print as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  ioasis groups intel-sc\n  lspci -D -xxxx -vv > server.txt; ioasis groups server.txt',
    )
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

function asData({ name, origin, remarks }: NamedMachine, host: Host): unknown {
  return {
    machine: name,
    origin,
    remarks,
    groups: explainedGroups(host.get(IommuGroups)),
  }
}

function print({ name, origin, remarks }: NamedMachine, host: Host, { line, style }: Terminal): void {
  line(style.title(name) + style.dim(`  ${origin}`))
  for (const remark of remarks) line(style.dim(`note: ${remark}`))
  line()
  for (const one of treeLines(host.get(Pci), host.get(IommuGroups))) line(one)
  const units = host.get(Bus).units
  line()
  line(
    units.length > 0
      ? `IOMMU ${units.length > 1 ? 'units' : 'unit'}: ${units.map((u) => u.name).join(', ')}`
      : 'no IOMMU silicon is modelled for it: nothing translates',
  )
  for (const group of explainedGroups(host.get(IommuGroups))) {
    line()
    const endpoint = group.endpoint === undefined ? '' : `  ${group.endpoint}`
    line(style.key(`group ${group.id}`) + `${endpoint}  ${group.type}  ${group.members.map((m) => m.name).join(' ')}`)
    line(`  ${group.summary}`)
    for (const member of group.members)
      for (const why of member.because)
        line(style.dim(`  ${why.startsWith(member.name) ? '' : `${member.name}: `}${why}`))
    for (const window of group.windows) line(`  ${window}`)
    line(
      style.dim(`  reserved: ${group.reserved.map((r) => `${r.first}-${r.last} ${r.type}`).join(', ') || 'nothing'}`),
    )
  }
}
