/**
 * What a driver asks a unit to forget, and how that reads as a descriptor: Intel VT-d r4.1 "6.5.2 Queued Invalidation
 * Interface"; drivers/iommu/intel/iommu.h qi_desc_iotlb, dmar.c qi_flush_context.
 */
import { type Bdf, type Hpa, hpaHi, hpaLo, hiWord, type Iova, loWord, put, split } from '@ioasis/core'
import { CONTEXT_INV, DESCRIPTOR, DESCRIPTOR_TYPE, IOTLB_INV, WAIT } from '../spec/invalidation-descriptor.ts'
import { GRANULARITY, IVA } from '../spec/registers.ts'

/** A request to forget context entries. */
export interface ContextInvalidation {
  readonly kind: 'context'
  readonly what: 'global' | 'domain' | 'device'
  /** Domain id; with `device`: the one the cached entry holds. */
  readonly domain: number
  readonly source: Bdf
}
/** A request to forget translations, and what walks remember on the way. */
export interface IotlbInvalidation {
  readonly kind: 'iotlb'
  readonly what: 'global' | 'domain' | 'pages'
  readonly domain: number
  /** First page, aligned to 2^order pages. */
  readonly iova: Iova
  /** 2^order pages of 4 KiB. */
  readonly order: number
  /** Only leaves changed: what is remembered of upper tables may stay. */
  readonly leafOnly: boolean
}
/** A request to forget all interrupt remapping entries; only a queue carries it. */
export interface InterruptInvalidation {
  readonly kind: 'interrupt'
  readonly what: 'global'
  /** Has no meaning here. */
  readonly domain: number
}
/** One request. */
export type Invalidation = ContextInvalidation | IotlbInvalidation | InterruptInvalidation

/** Forget every context entry. */
export const ALL_CONTEXTS: ContextInvalidation = { kind: 'context', what: 'global', domain: 0, source: 0 }
/** Forget every translation. */
export const ALL_TRANSLATIONS: IotlbInvalidation = {
  kind: 'iotlb',
  what: 'global',
  domain: 0,
  iova: 0n,
  order: 0,
  leafOnly: false,
}
/** Forget every interrupt remapping entry. */
export const ALL_INTERRUPTS: InterruptInvalidation = { kind: 'interrupt', what: 'global', domain: 0 }
/** Forget the context entry of one requester, cached under a domain id. */
export const contextOf = (domain: number, source: Bdf): ContextInvalidation => ({
  kind: 'context',
  what: 'device',
  domain,
  source,
})
/** Forget all translations of a domain id. */
export const translationsOf = (domain: number): IotlbInvalidation => ({ ...ALL_TRANSLATIONS, what: 'domain', domain })

/** The numbers that stand for the words. */
export const GRANULARITIES: Readonly<Record<Invalidation['what'], number>> = {
  global: GRANULARITY.GLOBAL,
  domain: GRANULARITY.DOMAIN,
  device: GRANULARITY.SELECTIVE,
  pages: GRANULARITY.SELECTIVE,
}

/** The first 128 bits of a descriptor, as four int32 words; in a queue of wide ones the rest is zero. */
export type DescriptorWords = readonly [number, number, number, number]

/** Which drains the unit knows: CAP.DWD, CAP.DRD. */
export interface Draining {
  readonly writeDraining: boolean
  readonly readDraining: boolean
}

/** The descriptor of a request. */
export function descriptorOf(request: Invalidation, draining: Draining): DescriptorWords {
  if (request.kind === 'interrupt') return [put(DESCRIPTOR_TYPE.LOW, 0, DESCRIPTOR.INTERRUPT_ENTRY), 0, 0, 0]
  const granularity = GRANULARITIES[request.what]
  if (request.kind === 'context') {
    let lo = put(CONTEXT_INV.G, put(DESCRIPTOR_TYPE.LOW, 0, DESCRIPTOR.CONTEXT), granularity)
    lo = put(CONTEXT_INV.DID, lo, request.domain)
    return [lo, put(CONTEXT_INV.SID, 0, request.source), 0, 0]
  }
  let lo = put(IOTLB_INV.G, put(DESCRIPTOR_TYPE.LOW, 0, DESCRIPTOR.IOTLB), granularity)
  lo = put(IOTLB_INV.DW, lo, draining.writeDraining ? 1 : 0)
  lo = put(IOTLB_INV.DR, lo, draining.readDraining ? 1 : 0)
  lo = put(IOTLB_INV.DID, lo, request.domain)
  if (request.what !== 'pages') return [lo, 0, 0, 0]
  split(request.iova)
  const page = put(IVA.AM, loWord() & ~0xfff, request.order)
  return [lo, 0, put(IVA.IH, page, request.leafOnly ? 1 : 0), hiWord()]
}

/** An Invalidation Wait descriptor that writes `data` to `status` once all before it is done. */
export function waitDescriptor(status: Hpa, data: number): DescriptorWords {
  const lo = put(WAIT.SW, put(DESCRIPTOR_TYPE.LOW, 0, DESCRIPTOR.WAIT), 1)
  return [lo, data, hpaLo(status), hpaHi(status)]
}
