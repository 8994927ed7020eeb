/** `ioasis groups`: a machine's tree, its IOMMU groups, and why each group is what it is. */
import { Bus, CompositionError, type Host, IommuGroups, Pci } from '@ioasis/core'
import { machineHost } from '@ioasis/hosts'
import { intelIommu } from '@ioasis/iommu-intel'
import { Command } from 'commander'
import { InputError } from '../input.ts'
import { explainedGroups, treeLines } from '../listing.ts'
import { MACHINE_HELP, type NamedMachine, namedMachine } from '../machine-argument.ts'
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

/**
 * The machine as a host; a dump, which tells of no IOMMU, gets one, so that its groups can be told.
 * @throws InputError, CompositionError: one line that begins with what the user named
 */
export function hostOf({ argument, description, source, dump }: NamedMachine): Host {
  try {
    return dump ? machineHost(description, { plugins: [intelIommu()] }) : machineHost(source)
  } catch (error) {
    if (!(error instanceof CompositionError) || error.message.startsWith(argument)) throw error
    throw new InputError(`${argument}: ${error.message}`)
  }
}

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
      ? `IOMMU ${units.length > 1 ? 'units' : 'unit'}: ${units.map((u) => u.name).join(', ')}`
      : 'no IOMMU silicon is modelled for it: nothing translates',
  )
  for (const group of explainedGroups(host.get(IommuGroups))) {
    line()
    line(style.key(`group ${group.id}`) + `  ${group.type}  ${group.members.map((m) => m.name).join(' ')}`)
    line(`  ${group.summary}`)
    for (const { name, because } of group.members)
      for (const why of because) line(style.dim(`  ${why.startsWith(name) ? '' : `${name}: `}${why}`))
    line(
      style.dim(`  reserved: ${group.reserved.map((r) => `${r.first}-${r.last} ${r.type}`).join(', ') || 'nothing'}`),
    )
  }
}
