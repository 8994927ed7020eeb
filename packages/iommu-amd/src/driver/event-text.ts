/**
 * Events in the kernel's own words: the lines are what people search their logs for and what recorded machines hold, so they are
 * kept as Linux prints them. drivers/iommu/amd/iommu.c iommu_print_event, amd_iommu_report_page_fault.
 */
import { type Bdf, formatBdf, get, hex, join } from '@ioasis/core'
import { EVENT, EVENT_CODE } from '../spec/event.ts'
import type { LogEntry } from './log-ring.ts'

/** An event as the log holds it. */
export interface LoggedEvent {
  /** One of `EVENT_CODE`. */
  readonly code: number
  readonly requester: Bdf
  /** Domain id, or PASID. */
  readonly domain: number
  /** 12 bits. */
  readonly flags: number
  /** u64: an iova, or where a table or command lies. */
  readonly address: bigint
  readonly write: boolean
  /** INVALID_PPR_REQUEST: whose page request it was, with 10 bits of tag. */
  readonly pageRequest: { readonly pasid: number; readonly tag: number }
  /** The entry as it stands in the log. */
  readonly words: LogEntry
}

/** Takes an entry apart. */
export function eventOf(entry: LogEntry): LoggedEvent {
  const [a = 0, b = 0, c = 0, d = 0] = entry
  return {
    code: get(EVENT.Code, a, b),
    requester: get(EVENT.DeviceId, a, b),
    domain: (get(EVENT.Pasid_19_16, a, b) << 16) | get(EVENT.DomainId, a, b),
    flags: get(EVENT.Flags, a, b),
    address: join(d, c),
    write: get(EVENT.RW, a, b) === 1,
    pageRequest: {
      pasid: (get(EVENT.PprPasid_19_16, a, b) << 16) | get(EVENT.PprPasid_15_0, a, b),
      tag: get(EVENT.PprTag, a, b),
    },
    words: entry,
  }
}

const wide = (value: number, digits: number): string => `0x${value.toString(16).padStart(digits, '0')}`

/** Where the event came from, and who is there. */
export interface EventPlace {
  readonly segment: number
  /** The unit's own function. */
  readonly unit: Bdf
  /** The function is known to the driver, and not attached to anything. */
  readonly unattached: boolean
  /** The driver knows the function: it speaks of it by name. */
  readonly known: boolean
}

/** The line Linux 7.2 prints for an event. */
export function eventLine(event: LoggedEvent, place: EventPlace): string {
  const { code, requester, domain, flags, address } = event
  const device = formatBdf(requester, place.segment)
  const at = `address=${hex(address)}`
  const flagText = `flags=${wide(flags, 4)}`
  const unit = `pci ${formatBdf(place.unit, place.segment)}: AMD-Vi: `
  switch (code) {
    case EVENT_CODE.IO_PAGE_FAULT:
      return pageFaultLine(event, place, device)
    case EVENT_CODE.ILLEGAL_DEV_TABLE_ENTRY:
      return `${unit}Event logged [ILLEGAL_DEV_TABLE_ENTRY device=${device} pasid=${wide(domain, 5)} ${at} ${flagText}]`
    case EVENT_CODE.DEV_TAB_HARDWARE_ERROR:
      return `${unit}Event logged [DEV_TAB_HARDWARE_ERROR device=${device} ${at} ${flagText}]`
    case EVENT_CODE.PAGE_TAB_HARDWARE_ERROR:
      return `${unit}Event logged [PAGE_TAB_HARDWARE_ERROR device=${device} pasid=${wide(domain, 4)} ${at} ${flagText}]`
    case EVENT_CODE.ILLEGAL_COMMAND_ERROR:
      return `${unit}Event logged [ILLEGAL_COMMAND_ERROR ${at}]`
    case EVENT_CODE.COMMAND_HARDWARE_ERROR:
      return `${unit}Event logged [COMMAND_HARDWARE_ERROR ${at} ${flagText}]`
    case EVENT_CODE.IOTLB_INV_TIMEOUT:
      return `${unit}Event logged [IOTLB_INV_TIMEOUT device=${device} ${at}]`
    case EVENT_CODE.INVALID_DEVICE_REQUEST:
      return `${unit}Event logged [INVALID_DEVICE_REQUEST device=${device} pasid=${wide(domain, 5)} ${at} ${flagText}]`
    case EVENT_CODE.INVALID_PPR_REQUEST: {
      const { pasid, tag } = event.pageRequest
      return `${unit}Event logged [INVALID_PPR_REQUEST device=${device} pasid=${wide(pasid, 5)} ${at} ${flagText} tag=${wide(tag, 3)}]`
    }
    default: {
      // Without a closing bracket, as Linux has it.
      const words = Array.from(event.words, (word, i) => `event[${i}]=${wide(word >>> 0, 8)}`)
      return `${unit}Event logged [UNKNOWN ${words.join(' ')}`
    }
  }
}

function pageFaultLine({ domain, flags, address, requester }: LoggedEvent, place: EventPlace, device: string): string {
  const rest = `domain=${wide(domain & 0xffff, 4)} address=${hex(address)} flags=${wide(flags, 4)}]`
  if (!place.known) return `AMD-Vi: Event logged [IO_PAGE_FAULT device=${device} ${rest}`
  if (place.unattached && !(flags & 0x008)) {
    return `AMD-Vi: Event logged [Device not attached to domain properly]   device=${device} domain=${wide(domain, 4)}`
  }
  return `pci ${formatBdf(requester, place.segment)}: AMD-Vi: Event logged [IO_PAGE_FAULT ${rest}`
}
