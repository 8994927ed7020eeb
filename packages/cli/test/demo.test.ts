import { expect, test } from 'vitest'
import { ioasis } from './command.test-kit.ts'

test('the demo tells its four chapters and ends well', async () => {
  const { code, stdout, stderr } = await ioasis(['demo'])
  expect([code, stderr]).toEqual([0, ''])
  expect(stdout.match(/^\d {2}.*$/gm)).toEqual([
    '1  The machine q35-intel-sc, composed in this process',
    '2  The driver maps, the silicon translates: the NIC 01:00.0, group 11',
    '3  A No Snoop write, and what the CPU reads',
    '4  Recorded hardware answers',
  ])
  expect(stdout).toContain('|hello from nic! |')
  expect(stdout).toContain('|hello from cpu! |')
  expect(stdout).toContain('fault addr 0x90000 [fault reason 0x05] PTE Write access is not set')
  expect(stdout).toMatch(/has not flushed yet.*\n {2}the DMA went through\n/)
  expect(stdout).toMatch(/After the flush .*\n {2}refused, reason 0x5/)
  const reads = [...stdout.matchAll(/^ {2}(?:the CPU reads|and after WBINVD) +[0-9a-f]{8} {2}(\d\d) /gm)].map(
    (m) => m[1],
  )
  expect(reads).toEqual(['11', '22', '22', '22'])
  expect(stdout).toMatch(/^ {2}together +\d+ cases, 0 failed, \d+ exempt\n$/m)
})
