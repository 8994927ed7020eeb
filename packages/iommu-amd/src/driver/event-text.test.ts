/** Lines as drivers/iommu/amd/iommu.c iommu_print_event has them. */
import { describe, expect, test } from 'vitest'
import { eventLine, eventOf } from './event-text.ts'

const PLACE = { segment: 0, unit: 2, unattached: false, known: true }
const entry = (code: number, flags: number, domain = 0x12): Int32Array =>
  Int32Array.of(0x108, (code << 28) | (flags << 16) | domain, 0x1234_5000, 1)

test('an entry is taken apart', () => {
  expect(eventOf(entry(2, 0x20))).toMatchObject({
    code: 2,
    requester: 0x108,
    domain: 0x12,
    flags: 0x20,
    address: 0x1_1234_5000n,
    write: true,
  })
})
describe('a page fault', () => {
  const event = eventOf(entry(2, 0x70))
  test('of a known function', () => {
    expect(eventLine(event, PLACE)).toBe(
      'pci 0000:01:01.0: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x0012 address=0x112345000 flags=0x0070]',
    )
  })
  test('of an unknown one', () => {
    expect(eventLine(event, { ...PLACE, known: false })).toBe(
      'AMD-Vi: Event logged [IO_PAGE_FAULT device=0000:01:01.0 domain=0x0012 address=0x112345000 flags=0x0070]',
    )
  })
  test('of one without a domain', () => {
    expect(eventLine(event, { ...PLACE, unattached: true })).toContain(
      '[Device not attached to domain properly]   device=0000:01:01.0 domain=0x0012',
    )
  })
})
test.each([
  [1, 'ILLEGAL_DEV_TABLE_ENTRY device=0000:01:01.0 pasid=0x00012 address=0x112345000 flags=0x0080'],
  [3, 'DEV_TAB_HARDWARE_ERROR device=0000:01:01.0 address=0x112345000 flags=0x0080'],
  [4, 'PAGE_TAB_HARDWARE_ERROR device=0000:01:01.0 pasid=0x0012 address=0x112345000 flags=0x0080'],
  [5, 'ILLEGAL_COMMAND_ERROR address=0x112345000'],
  [6, 'COMMAND_HARDWARE_ERROR address=0x112345000 flags=0x0080'],
  [7, 'IOTLB_INV_TIMEOUT device=0000:01:01.0 address=0x112345000'],
  [8, 'INVALID_DEVICE_REQUEST device=0000:01:01.0 pasid=0x00012 address=0x112345000 flags=0x0080'],
])('event %s', (code, text) => {
  expect(eventLine(eventOf(entry(code, 0x80)), PLACE)).toBe(`pci 0000:00:00.2: AMD-Vi: Event logged [${text}]`)
})
test('a page request that is refused has PASID and tag where the page request log has them', () => {
  const refused = Int32Array.of(0x4567_0108, (9 << 28) | (1 << 16) | (3 << 10) | 0x205, 0x1234_5000, 1)
  expect(eventLine(eventOf(refused), PLACE)).toBe(
    'pci 0000:00:00.2: AMD-Vi: Event logged [INVALID_PPR_REQUEST device=0000:01:01.0 pasid=0x34567 address=0x112345000 flags=0x0001 tag=0x205]',
  )
})
test('an event of unknown code is shown word by word', () => {
  expect(eventLine(eventOf(entry(15, 0x80)), PLACE)).toBe(
    'pci 0000:00:00.2: AMD-Vi: Event logged [UNKNOWN event[0]=0x00000108 event[1]=0xf0800012 event[2]=0x12345000 event[3]=0x00000001',
  )
})
