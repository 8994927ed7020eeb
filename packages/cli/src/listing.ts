/** How functions and groups are listed. */
import {
  coherencyBox,
  formatBdf,
  type Group,
  type GroupRegistry,
  groupReasonText,
  hex,
  type PciFunction,
  type PciTopology,
} from '@ioasis/core'

const BOXES = {
  1: 'no No Snoop, nothing to block',
  2: 'no No Snoop',
  3: 'can No Snoop, and the IOMMU cannot block it',
  4: 'can No Snoop, and the IOMMU can block it',
} as const

const u16 = (fn: PciFunction, at: number): string => fn.readConfig(at, 2).toString(16).padStart(4, '0')

/** `8086:10d3 network controller`: ids and class as the configuration space tells them. */
export function functionText(fn: PciFunction): string {
  const name = CLASSES[fn.readConfig(0x0a, 2)] ?? CLASSES[fn.readConfig(0x0b, 1) << 8] ?? 'device'
  return `${u16(fn, 0)}:${u16(fn, 2)} ${fn.bridge ? KINDS[fn.bridge.kind] : name}`
}

const KINDS = {
  rootPort: 'root port',
  upstream: 'switch upstream port',
  downstream: 'switch downstream port',
  pcieToPci: 'PCIe-to-PCI bridge',
  pciToPcie: 'PCI-to-PCIe bridge',
  pciToPci: 'PCI-to-PCI bridge',
} as const

/** Class codes of PCI Code and ID Assignment; a base class stands for those left out. */
const CLASSES: Readonly<Record<number, string>> = {
  0x0106: 'SATA controller',
  0x0108: 'NVM Express controller',
  0x0100: 'storage controller',
  0x0200: 'network controller',
  0x0300: 'display controller',
  0x0403: 'audio device',
  0x0500: 'memory controller',
  0x0600: 'host bridge',
  0x0601: 'ISA bridge',
  0x0806: 'IOMMU',
  0x0800: 'system peripheral',
  0x0c03: 'USB controller',
  0x0c05: 'SMBus',
  0x1000: 'encryption controller',
}

/** The tree of functions, each with its group. */
export function treeLines(pci: PciTopology, groups: GroupRegistry): string[] {
  const lines: string[] = []
  const visit = (fns: readonly PciFunction[], indent: string): void => {
    fns.forEach((fn, i) => {
      const last = i === fns.length - 1
      const group = groups.of(fn)
      const stem = `${indent}${last ? '└─' : '├─'} ${formatBdf(fn.bdf)}`
      lines.push(`${stem.padEnd(22)} ${functionText(fn).padEnd(34)} ${group ? `group ${group.id}` : 'no group'}`)
      visit(pci.children(fn), `${indent}${last ? '   ' : '│  '}`)
    })
  }
  const roots = pci.functions.filter((fn) => !fn.parent)
  for (const segment of new Set(roots.map((fn) => fn.segment))) {
    lines.push(`domain ${segment.toString(16).padStart(4, '0')}`)
    visit(
      roots.filter((fn) => fn.segment === segment),
      '',
    )
  }
  return lines
}

/** A group for people and for JSON. */
export interface ExplainedGroup {
  readonly id: number
  /** The partitionable endpoint it is (POWER): `domain1-pefd`. */
  readonly endpoint: string | undefined
  /** Windows that are programmed, one sentence each (POWER). */
  readonly windows: readonly string[]
  readonly type: string
  readonly members: readonly {
    readonly name: string
    readonly what: string
    readonly coherency: string
    readonly because: readonly string[]
  }[]
  readonly reserved: readonly { readonly first: string; readonly last: string; readonly type: string }[]
  readonly summary: string
}

/** All groups with the reasons for their members. */
export const explainedGroups = (groups: GroupRegistry): ExplainedGroup[] =>
  groups.groups.map((group) => ({
    id: group.id,
    endpoint: group.name,
    windows: windowTexts(group),
    type: group.defaultDomainType,
    members: group.members.map((fn) => ({
      name: fn.name,
      what: functionText(fn),
      coherency: BOXES[coherencyBox(fn, groups.deviceOf(fn))],
      because: (group.reasons.find((r) => r.fn === fn)?.because ?? []).map(groupReasonText),
    })),
    reserved: group.reserved.map(({ first, last, type }) => ({ first: hex(first), last: hex(last), type })),
    summary: summary(group),
  }))

const windowTexts = (group: Group): readonly string[] =>
  (group.devices[0]?.windows?.present ?? []).flatMap((window, slot) =>
    window
      ? [
          `window ${slot}: ${hex(window.first)}-${hex(window.first + window.bytes - 1n)}, pages of ${2 ** window.pageShift} bytes, ${window.levels} ${window.levels === 1 ? 'level' : 'levels'}`,
        ]
      : [],
  )

/** Why the group is as large as it is, in a sentence. */
function summary(group: Group): string {
  if (group.name !== undefined) {
    const members = group.members.length === 1 ? 'one function' : `${group.members.length} functions`
    const alone = group.devices[0]?.recovery ? ', and freezes it alone' : ''
    return `a partitionable endpoint of ${members}: the host bridge tells it from all others${alone}`
  }
  if (group.members.length === 1) return 'alone: nothing else can reach it past the IOMMU'
  const decisive = new Set(group.reasons.flatMap(({ because }) => because.filter((r) => r.joined).map((r) => r.kind)))
  const parts = [
    ...(decisive.has('alias') ? ['their requests carry one id, that of the bridge above them'] : []),
    ...(decisive.has('notIsolated') ? ['peers behind a bridge without full ACS reach each other'] : []),
    ...(decisive.has('sameSlot') ? ['functions of one slot without ACS reach each other'] : []),
    ...(decisive.has('quirkAlias') ? ['a quirk: they share a requester id'] : []),
  ]
  return `${group.members.length} functions that cannot be told apart or kept apart: ${parts.join('; ')}`
}
