/** `ioasis matrix`: the coherency contract of a machine, device by device. */
import { writeFileSync } from 'node:fs'
import type { CoherencyBox } from '@ioasis/core'
import { kernelHost, LAB_KERNELS } from '@ioasis/hosts'
import { intelIommu } from '@ioasis/iommu-intel'
import { Command, Option } from 'commander'
import { InputError } from '../input.ts'
import { MACHINE_HELP, type NamedMachine, namedMachine } from '../machine-argument.ts'
import { type MatrixRow, matrixRows } from '../matrix/rows.ts'
import { matrixSvg } from '../matrix/svg.ts'
import { table, type Terminal, toJson } from '../terminal.ts'

interface Options {
  readonly json?: true
  readonly svg?: string
  readonly kernel: string
}

const BOXES: Readonly<Record<CoherencyBox, string>> = {
  1: '1 coherent',
  2: '2 coherent',
  3: '3 a hypervisor must act',
  4: '4 coherent, enforced',
}

/** Builds the sub-command. */
export const matrix = (terminal: Terminal): Command =>
  new Command('matrix')
    .description(
      'Show for each device whether it can send No Snoop, whether its IOMMU blocks that, and what a guest gets: KVM is asked, and a guest executes WBINVD.',
    )
    .argument('<machine>', MACHINE_HELP)
    .addOption(
      new Option('-k, --kernel <name>', 'which kernel runs it')
        .choices(LAB_KERNELS.filter((name) => name !== 'debian'))
        .default('type1'),
    )
    .option('--json', 'print as JSON')
    .option('--svg <file>', 'write a picture of the four boxes, - for standard output')
    .action((argument: string, { json, svg, kernel }: Options) => {
      const machine = namedMachine(argument)
      const rows = rowsOf(machine, kernel, terminal)
      if (svg !== undefined) write(svg, matrixSvg(machine.name, rows), terminal)
      if (json) terminal.line(toJson({ machine: machine.name, remarks: machine.remarks, devices: rows }))
      else if (svg === undefined) print(machine, rows, terminal)
    })

function rowsOf(
  { argument, description, dump }: NamedMachine,
  kernel: string,
  terminal: Terminal,
): readonly MatrixRow[] {
  if (!description)
    throw new InputError(`${argument}: bridges of POWER snoop all that devices send: there are no boxes`)
  terminal.progress(`composing ${description.name} ...`)
  const host = kernelHost(description, kernel, { personality: 'qemu', ...(dump ? { plugins: [intelIommu()] } : {}) })
  try {
    return matrixRows(host)
  } finally {
    host.close()
    terminal.progress('')
  }
}

function write(path: string, text: string, terminal: Terminal): void {
  if (path === '-') {
    terminal.line(text)
    return
  }
  try {
    writeFileSync(path, `${text}\n`)
  } catch (error) {
    throw new InputError(`${path}: ${(error as Error).message}`)
  }
}

function print({ name, origin, remarks }: NamedMachine, rows: readonly MatrixRow[], { line, style }: Terminal): void {
  line(style.title(name) + style.dim(`  ${origin}`))
  for (const remark of remarks) line(style.dim(`note: ${remark}`))
  line()
  const head = ['device', 'what', 'group', 'can', 'IOMMU blocks', 'box', 'KVM is told', 'guest WBINVD', 'narrow policy']
  for (const one of table([head, ...rows.map(cells)])) line(one)
  line()
  line(style.dim('IOMMU blocks: it can make No Snoop harmless, whatever the device asks. KVM is told what the IOMMU'))
  line(style.dim('says, never what the device can; the narrow policy is what it would be told if both counted.'))
}

const cells = ({ bdf, what, group, abilities, blocks, box, kvm, wbinvd, narrow }: MatrixRow): string[] => [
  bdf,
  what,
  group === undefined ? '-' : `${group}`,
  abilities.join(', ') || '-',
  blocks === undefined ? 'no IOMMU' : blocks ? 'No Snoop' : 'nothing',
  BOXES[box],
  typeof kvm === 'object' ? `not assignable (${kvm.refused})` : kvm,
  wbinvd === undefined ? '-' : wbinvd ? 'reaches the host' : 'does nothing',
  narrow,
]
