import { beforeAll, expect, test } from 'vitest'
import { type Ended, ioasis } from './command.test-kit.ts'

let demo: Ended
beforeAll(async () => {
  demo = await ioasis(['demo'])
}, 60_000)

test('the demo tells its five chapters and ends well', () => {
  expect([demo.code, demo.stderr]).toEqual([0, ''])
  expect(demo.stdout.match(/^\d {2}.*$/gm)).toEqual([
    '1  The machine q35-intel-sc, composed in this process',
    '2  The driver maps, the silicon translates: the NIC 01:00.0, group 11',
    '3  A program: from an ioctl to bytes in its memory',
    '4  Four boxes: can the device skip the caches, can the IOMMU forbid it?',
    '5  Recorded answers',
  ])
})

test('a mapping is used, outlives a forgotten flush, and is gone after the flush', () => {
  expect(demo.stdout).toContain('|hello from cpu! |')
  expect(demo.stdout).toContain('fault addr 0x90000 [fault reason 0x05] PTE Write access is not set')
  expect(demo.stdout).toMatch(/has not flushed yet.*\n {2}the DMA went through\n/)
  expect(demo.stdout).toMatch(/After the flush .*\n {2}refused, reason 0x5/)
})

test('the parked file refuses; bound and attached, the device reaches the program’s buffer until it is unmapped', () => {
  const [, chapter = ''] = /^3 {2}A program([^]*?)^4 {2}/m.exec(demo.stdout) ?? []
  const calls = [...chapter.matchAll(/^ {2}ioctl\(\d, ([A-Z_]+), .* = (-?\d+(?: \w+)?)/gm)].map(([, name, ret]) => [
    name,
    ret,
  ])
  expect(calls).toEqual([
    ['VFIO_DEVICE_GET_INFO', '-1 EINVAL'],
    ['VFIO_DEVICE_GET_REGION_INFO', '-1 EINVAL'],
    ['VFIO_DEVICE_ATTACH_IOMMUFD_PT', '-1 EINVAL'],
    ['VFIO_DEVICE_BIND_IOMMUFD', '0'],
    ['IOMMU_IOAS_ALLOC', '0'],
    ['VFIO_DEVICE_ATTACH_IOMMUFD_PT', '0'],
    ['IOMMU_IOAS_MAP', '0'],
    ['VFIO_DEVICE_GET_REGION_INFO', '0'],
    ['IOMMU_IOAS_UNMAP', '0'],
  ])
  expect(chapter).toMatch(/reads its buffer:\n.*\|hello from nic! \|\n/)
  expect(chapter).toMatch(/Unmapped: .*\n {2}refused, reason 0x5\n.*fault addr 0x100000/)
  expect(chapter).toContain('The audit of the host finds 0 violations.')
})

test('of the four boxes only one needs WBINVD, and there it helps only if KVM was told', () => {
  const row = /^ {2}(\d) {4}(.*?) {2,}(\S+) +(\S+(?: \S+)?) {2,}(\d\d) [\d ]+? {2}(\d\d) /gm
  expect([...demo.stdout.matchAll(row)].map(([, ...cells]) => cells)).toEqual([
    ['1', 'edu, cannot', 'cannot', 'noncoherent', '22', '22'],
    ['2', 'edu, cannot', 'enforces', 'coherent', '22', '22'],
    ['3', 'engine, can', 'cannot', 'noncoherent', '11', '22'],
    ['4', 'engine, can', 'enforces', 'coherent', '22', '22'],
    ['3', 'engine, can', 'cannot', 'not told', '11', '11'],
  ])
})

test('recorded answers are counted', () => {
  expect(demo.stdout.match(/^ {2}intel\S* +\d+ cases, 0 failed, \d+ exempt$/gm)).toHaveLength(2)
  expect(demo.stdout).toMatch(/\n\d{4,} steps, 0 differences, \d+ exempt\n$/)
})
