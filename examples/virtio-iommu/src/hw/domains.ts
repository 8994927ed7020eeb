/** Endpoints, domains, mappings: the device keeps them, and requests change them. VIRTIO 1.2 "5.13.6 Device operations". */
import { type Bdf, type Hpa, IntervalMap, MSI_WINDOW } from '@ioasis/core'
import { ATTACH, DETACH, FLAG, MAP, PROBE, PROPERTY, REGISTERS, RESV_MEM, STATUS } from '../spec/virtio-iommu.ts'
import { TAIL_BYTES, UNMAP } from '../spec/virtio-iommu.ts'

/** What one MAP made; `used`: it translated a request. */
export type Mapping = { readonly target: Hpa; readonly flags: number; used: boolean }
/** It exists while endpoints are attached. */
export type DeviceDomain = { readonly id: number; readonly bypass: boolean; readonly mappings: IntervalMap<Mapping> }
const IN_PAGE = ~REGISTERS.PAGE_SIZE_MASK.reset & 0xfffn
const MSI = { first: BigInt(MSI_WINDOW.first), last: BigInt(MSI_WINDOW.last) }

/** The tables of one device. @param has whether an endpoint exists */
export function deviceDomains(has: (endpoint: Bdf) => boolean) {
  const of = new Map<Bdf, DeviceDomain>()
  const find = (id: number): DeviceDomain | undefined => [...of.values()].find((domain) => domain.id === id)
  function attach(request: Uint8Array): number {
    const { domain: id, endpoint, flags, zero } = ATTACH.decode(request)
    if (zero !== 0 || (flags & ~FLAG.BYPASS) !== 0) return STATUS.INVAL
    if (!has(endpoint)) return STATUS.NOENT
    if (id > REGISTERS.DOMAIN_LAST.reset) return STATUS.RANGE
    const domain = find(id) ?? { id, bypass: flags !== 0, mappings: new IntervalMap<Mapping>() }
    if (domain.bypass !== (flags !== 0)) return STATUS.INVAL
    of.set(endpoint, domain)
    return STATUS.OK
  }
  function detach(request: Uint8Array): number {
    const { domain, endpoint } = DETACH.decode(request)
    if (!has(endpoint)) return STATUS.NOENT
    if (of.get(endpoint)?.id !== domain) return STATUS.INVAL
    of.delete(endpoint)
    return STATUS.OK
  }
  function map(request: Uint8Array): number {
    const { domain, first, last, target, flags } = MAP.decode(request)
    const found = find(domain)
    if (!found) return STATUS.NOENT
    if (found.bypass || (flags & ~(FLAG.READ | FLAG.WRITE | FLAG.MMIO)) !== 0) return STATUS.INVAL
    if (((first | target | (last + 1n)) & IN_PAGE) !== 0n || last < first) return STATUS.RANGE
    if (last > REGISTERS.INPUT_LAST.reset || (target + (last - first)) >> 52n !== 0n) return STATUS.RANGE
    if (first <= MSI.last && last >= MSI.first) return STATUS.INVAL
    return found.mappings.insert(first, last, { target: Number(target), flags, used: false }) ? STATUS.OK : STATUS.INVAL
  }
  function unmap(request: Uint8Array): number {
    const { domain, first, last } = UNMAP.decode(request)
    const found = find(domain)
    if (!found) return STATUS.NOENT
    if (found.bypass) return STATUS.INVAL
    const affected = [...found.mappings.within(first, last)]
    if (affected.some((one) => one.first < first || one.last > last)) return STATUS.RANGE
    for (const one of affected) found.mappings.remove(one.first)
    return STATUS.OK
  }
  /** One property: where messages go, as on x86. */
  function probe(request: Uint8Array, reply: Uint8Array): number {
    if (!has(PROBE.decode(request).endpoint)) return STATUS.NOENT
    const length = RESV_MEM.size - PROPERTY.HEAD_BYTES
    RESV_MEM.encode({ type: PROPERTY.RESV_MEM, length, subtype: PROPERTY.MSI, ...MSI }, reply)
    return STATUS.OK
  }
  const handlers = [undefined, attach, detach, map, unmap, probe]
  const sizes = [undefined, ATTACH, DETACH, MAP, UNMAP, PROBE].map((one) => (one?.size ?? Infinity) - TAIL_BYTES)
  /** @returns what is written back; nothing for a request of no type, or too short for its type */
  function answer(request: Uint8Array): Uint8Array {
    const type = request[0] ?? 0
    if (request.length < (sizes[type] ?? Infinity)) return new Uint8Array(0)
    const reply = new Uint8Array((handlers[type] === probe ? REGISTERS.PROBE_SIZE.reset : 0) + TAIL_BYTES)
    reply[reply.length - TAIL_BYTES] = handlers[type]?.(request, reply) ?? STATUS.UNSUPP
    return reply
  }
  return { of, answer }
}
