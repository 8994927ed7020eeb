import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { ioasis } from './command.test-kit.ts'

const DUMP = fileURLToPath(new URL('small.lspci.txt', import.meta.url))

/** What the tests look at of `--json`. */
interface Told {
  readonly machine: string
  readonly remarks: readonly string[]
  readonly groups: readonly {
    readonly id: number
    readonly type: string
    readonly members: readonly { readonly name: string; readonly because: readonly string[] }[]
  }[]
}
const json = async (machine: string): Promise<Told> =>
  JSON.parse((await ioasis(['groups', machine, '--json'])).stdout) as Told
const groupsOf = ({ groups }: Told): string[] => groups.map((g) => g.members.map((m) => m.name.slice(5)).join(' '))

describe('of a lab machine:', () => {
  test('the tree, the groups and why each is what it is', async () => {
    const { code, stdout, stderr } = await ioasis(['groups', 'intel-sc'])
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(/^q35-intel-sc {2}Linux 7\.2/)
    expect(stdout).toMatch(/^│ {2}└─ 03:00\.0 .*PCIe-to-PCI bridge +group 13$/m)
    expect(stdout).toContain('IOMMU unit: dmar0')
    expect(stdout).toMatch(/^group 13 {2}DMA-FQ {2}0000:03:00\.0 0000:04:01\.0 0000:04:02\.0 0000:04:03\.0$/m)
    expect(stdout).toContain(
      '0000:04:01.0: its requests reach the IOMMU as 04:00.0, the id of 0000:03:00.0, whose group it joins',
    )
    expect(stdout).toContain('reserved: 0xfee00000-0xfeefffff msi')
  })
  test('of POWER: endpoints with their windows, bridges without a group', async () => {
    const { code, stdout, stderr } = await ioasis(['groups', 'powernv10'])
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(/^└─ 00:00\.0 +1014:0652 root port +no group$/m)
    expect(stdout).toMatch(/^group 2 {2}domain2-pe0 {2}unknown {2}0002:02:01\.0 0002:02:02\.0$/m)
    expect(stdout).toContain('window 0: 0x0-0x7fffffff, pages of 4096 bytes, 2 levels')
  })
  test('the same as data', async () => {
    const told = await json('q35-intel-sc')
    expect(told.machine).toBe('q35-intel-sc')
    expect(groupsOf(told)).toHaveLength(16)
    expect(groupsOf(told)[12]).toBe('02:00.0 02:00.1')
    expect(told.groups.flatMap((g) => g.members).filter((m) => m.because.length === 0)).toEqual([])
  })
  test('with an AMD IOMMU: its unit, and the HyperTransport range in each group', async () => {
    const { stdout } = await ioasis(['groups', 'amd'])
    expect(stdout).toContain('IOMMU unit: ivhd0')
    expect(stdout).toContain('reserved: 0xfee00000-0xfeefffff msi, 0xfd00000000-0xffffffffff reserved')
    expect(stdout).toMatch(/^group 12 {2}DMA {2}0000:02:00.0 0000:02:00.1$/m)
  })
  test('without silicon: groups all the same, and a note', async () => {
    const { stdout } = await ioasis(['groups', 'intel-sm'])
    expect(stdout).toContain('note: scalable mode is not modelled: topology and groups only, DMA is not translated')
    expect(stdout).toContain('no IOMMU silicon is modelled for it: nothing translates')
    expect(stdout).toMatch(/^group 0 /m)
  })
})

describe('of an lspci dump:', () => {
  test('tree and groups, as an IOMMU that covers all would make them', async () => {
    const { code, stdout, stderr } = await ioasis(['groups', DUMP])
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(/^ {3}└─ 01:00\.0 +8086:10d3 network controller +group 2$/m)
    expect(stdout).toContain('functions of one slot without ACS reach each other')
  })
  test('a note on what the dump does not show', async () => {
    const told = await json(DUMP)
    expect(groupsOf(told)).toEqual(['00:00.0', '00:02.0 00:02.1', '00:03.0 01:00.0'])
    expect(told.remarks.at(-1)).toMatch(
      /^0000:00:03\.0, 0000:01:00\.0: no extended capabilities .* larger than they are$/,
    )
  })
})
