import { describe, expect, test } from 'vitest'
import { type Ended, ioasis, refusal } from './command.test-kit.ts'

const NIC = ['intel-sc', '01:00.0']
const walk = (...args: string[]): Promise<Ended> => ioasis(['walk', ...args])
const lastLines = ({ stdout }: Ended, n: number): string[] => stdout.trimEnd().split('\n').slice(-n)

test('a translated request: every entry with its fields by name, down to the page', async () => {
  const ended = await walk(...NIC, '0x11004', '--map', '0x10000:8K')
  expect([ended.code, ended.stderr]).toEqual([0, ''])
  expect(ended.stdout).toMatch(/^0000:01:00\.0 reads iova 0x11004; unit dmar0\n/)
  const entries = ['root entry[1]', 'context entry[0]', 'SS-PML4E[0]', 'SS-PDPE[0]', 'SS-PDE[0]', 'SS-PTE[17]']
  expect(entries.filter((name) => !ended.stdout.includes(`\n${name} at 0x`))).toEqual([])
  expect(ended.stdout).toMatch(/^ {2}DID {6}0x[0-9a-f]+$/m)
  expect(ended.stdout).toMatch(/^ {2}AW {7}0x2 {14}4 levels$/m)
  expect(lastLines(ended, 2)).toEqual([
    expect.stringMatching(/^the tables lead to (0x[0-9a-f]+004) \(hpa \1, a page of 4096 bytes\)$/),
    "the CPUs' caches are snooped",
  ])
})

test('on a POWER machine: a window that is made first, its TCEs level by level', async () => {
  const window = ['--window', '16:1G:3', '--map', '0x800000000010000:64K']
  const ended = await walk('powernv10', '0001:01:00.0', '0x800000000010004', ...window)
  expect([ended.code, ended.stderr]).toEqual([0, ''])
  expect(ended.stdout).toMatch(/^0001:01:00\.0 reads iova 0x800000000010004; unit phb1\n/)
  const entries = ['TCE of level 2[0]', 'TCE of level 1[0]', 'TCE[1]']
  expect(entries.filter((name) => !ended.stdout.includes(`\n${name} at 0x`))).toEqual([])
  expect(lastLines(ended, 2)).toEqual([
    expect.stringMatching(/^PE#fd, window 1: the TCE leads to (0x[0-9a-f]+004) \(hpa \1, a page of 65536 bytes\)$/),
    "the CPUs' caches are snooped",
  ])
  const refused = await walk('intel-sc', '01:00.0', '0x0', '--window', '16:1G')
  expect(refused).toEqual(refusal('--window: 0000:01:00.0 has page tables, and no windows'))
})

test('on an AMD machine: device table entry and page tables of three levels', async () => {
  const ended = await walk('amd', '01:00.0', '0x11004', '--map', '0x10000:8K')
  expect([ended.code, ended.stderr]).toEqual([0, ''])
  expect(ended.stdout).toMatch(/^0000:01:00\.0 reads iova 0x11004; unit ivhd0\n/)
  expect(ended.stdout).toMatch(/^ {2}Mode {5}0x3 /m)
  expect(lastLines(ended, 2)).toEqual([
    expect.stringMatching(/^the tables lead to (0x[0-9a-f]+004) \(hpa \1, a page of 8192 bytes\)$/),
    "the CPUs' caches are snooped",
  ])
})

test('on an AMD machine: where nothing is mapped, and why it stopped', async () => {
  const ended = await walk('amd', '01:00.0', '0x50000', '--map', '0x10000:8K')
  expect(lastLines(ended, 1)[0]).toBe(
    'refused with reason 0x92: IO_PAGE_FAULT: read: the tables do not allow the access',
  )
})

test('an address that is not mapped: the entry where it stopped, and why', async () => {
  const ended = await walk(...NIC, '0x50000', '--map', '0x10000:8K', '--write')
  expect([ended.code, ended.stderr]).toEqual([0, ''])
  expect(ended.stdout).toMatch(/\nSS-PTE\[80\] at 0x[0-9a-f]+ {2}0x0\n/)
  expect(lastLines(ended, 1)).toEqual(['refused with reason 0x5: write or atomic without write permission'])
})

test('a write to what is mapped read-only is refused, a read is not', async () => {
  const [write, read] = await Promise.all(
    [['--write'], []].map((more) => walk(...NIC, '0x10000', '--map', '0x10000:4K', '--read-only', ...more)),
  )
  expect(lastLines(write as Ended, 1)).toEqual(['refused with reason 0x5: write or atomic without write permission'])
  expect(lastLines(read as Ended, 2)[0]).toContain('the tables lead to')
})

/** SNP of the leaf, and whether a No Snoop request through it is snooped. */
const snooped = async (...more: string[]): Promise<unknown> => {
  const { stdout } = await walk(...NIC, '0x10000', '--map', '0x10000:4K', '--no-snoop', '--json', ...more)
  const told = JSON.parse(stdout) as { snooped: boolean; entries: { fields: { name: string; value: string }[] }[] }
  const leaf = told.entries.at(-1)?.fields.find((f) => f.name === 'SNP')
  return [leaf?.value, told.snooped]
}

describe('a No Snoop request', () => {
  test("goes past the CPUs' caches", async () => {
    expect(await snooped()).toEqual(['0x0', false])
  })
  test('is overridden by the SNP bit of a domain that enforces coherency', async () => {
    expect(await snooped('--enforce-coherency')).toEqual(['0x1', true])
  })
  test('cannot be overridden by a unit without snoop control', async () => {
    const ended = await walk('intel', '01:00.0', '0', '--map', '0:4K', '--no-snoop', '--enforce-coherency')
    expect(ended).toEqual(refusal('--enforce-coherency: the IOMMU of 0000:01:00.0 cannot'))
  })
})

describe('what cannot be walked is told in one line:', () => {
  test.each([
    ['no silicon', ['intel-sm', '01:00.0', '0'], 'bdf: 0000:01:00.0: no IOMMU silicon is modelled for this function'],
    ['no function there', ['intel', '1f:00.0', '0'], 'bdf: no function stands at 1f:00.0'],
    ['no place', ['intel', 'nic', '0'], 'bdf: "nic" is not a function such as 01:00.0'],
    ['no address', [...NIC, 'zero'], 'iova: "zero" is not a number of at most 64 bits such as 0x1000, 4096 or 2M'],
    ['no size', [...NIC, '0', '--map', '0x1000'], '--map: "0x1000" is not IOVA:BYTES such as 0x10000:8K'],
    ['half a page', [...NIC, '0', '--map', '0:2K'], '--map: "0:2K" is not whole pages of 4 KiB'],
    ['mapped twice', [...NIC, '0', '-m', '0:8K', '-m', '4K:4K'], '--map: "4K:4K": some of it is mapped already'],
    [
      'too much memory',
      [...NIC, '0', '-m', '0:1G'],
      '--map: "0:1G": the machine has no free memory of that size in one piece',
    ],
    [
      'beyond the tables',
      [...NIC, '0', '-m', '0x1000000000000:4K'],
      '--map: 0x1000000000fff is beyond what the domain can hold, 0xffffffffffff',
    ],
  ])('%s', async (_title, args, message) => {
    expect(await walk(...args)).toEqual(refusal(message))
  })
})
