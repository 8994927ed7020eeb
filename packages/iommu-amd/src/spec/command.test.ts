import { join } from '@ioasis/core'
import { expect, test } from 'vitest'
import { ALL_PAGES, COMMAND_RESERVED, OPCODE } from './command.ts'

/** As the layouts of 48882 "Command Buffer" leave bits free; the opcode is not among them. */
test.each([
  ['COMPLETION_WAIT', 0x0ff0_0000_0000_0000n, 0n],
  ['INVALIDATE_DEVTAB_ENTRY', 0x0fff_ffff_ffff_0000n, 0xffff_ffff_ffff_ffffn],
  ['INVALIDATE_IOMMU_PAGES', 0x0fff_0000_fff0_0000n, 0xff8n],
  ['INVALIDATE_IOTLB_PAGES', 0n, 0xfcan],
  ['INVALIDATE_INTERRUPT_TABLE', 0x0fff_ffff_ffff_0000n, 0xffff_ffff_ffff_ffffn],
  ['PREFETCH_IOMMU_PAGES', 0x0ff0_0000_00ff_0000n, 0xfean],
  ['COMPLETE_PPR_REQUEST', 0x0ff0_0000_ffff_0000n, 0xffff_0000_ffff_fffbn],
  ['INVALIDATE_IOMMU_ALL', 0x0fff_ffff_ffff_ffffn, 0xffff_ffff_ffff_ffffn],
] as const)('reserved bits of %s', (name, first, second) => {
  const [lo0, hi0, lo1, hi1] = COMMAND_RESERVED[OPCODE[name]] ?? [0, 0, 0, 0]
  expect([join(hi0, lo0), join(hi1, lo1)]).toEqual([first, second])
})
test('the address of all pages is the one Linux sends', () => {
  // drivers/iommu/amd/amd_iommu_types.h CMD_INV_IOMMU_ALL_PAGES_ADDRESS
  expect(ALL_PAGES).toBe((1n << 63n) - 4096n)
})
