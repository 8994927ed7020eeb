import { expect, test } from 'vitest'
import { UapiError } from '../errno.ts'
import { mapDirect } from './direct-mappings.ts'
import type { PagingDomain, Prot } from './domain.ts'
import type { IommuDevice, ReservedRegion } from './driver.ts'

/** A paging domain that remembers its pages, and in what pieces they came. */
class Recorder {
  readonly pages = new Map<bigint, number>()
  readonly maps: string[] = []
  readonly type = 'paging'
  readonly pageSizes: bigint
  /** Maps to come before ENOMEM. */
  left = Infinity

  constructor(pageSizes = 0x4020_1000n) {
    this.pageSizes = pageSizes
  }
  lookup(iova: bigint): number | undefined {
    return this.pages.get(iova)
  }
  map(iova: bigint, runs: { hpa: Float64Array; bytes: Float64Array }, prot: Prot): void {
    if (this.left-- === 0) throw new UapiError('ENOMEM', 'map')
    const [hpa, bytes] = [runs.hpa[0] as number, runs.bytes[0] as number]
    const page = this.pageSizes & -this.pageSizes
    for (let at = 0n; at < BigInt(bytes); at += page) this.pages.set(iova + at, hpa + Number(at))
    this.maps.push(`${iova.toString(16)} +${bytes.toString(16)} ${prot.read ? 'r' : ''}${prot.write ? 'w' : ''}`)
  }
  get domain(): PagingDomain {
    return this as unknown as PagingDomain
  }
}
const region = (first: bigint, last: bigint, type: ReservedRegion['type'] = 'direct'): ReservedRegion => ({
  first,
  last,
  type,
  read: true,
  write: true,
})
const device = (...reserved: ReservedRegion[]): IommuDevice => ({ reserved }) as unknown as IommuDevice

test('a direct region is mapped one to one, with its permissions', () => {
  const recorder = new Recorder()
  mapDirect(recorder.domain, device({ ...region(0x8000n, 0xbfffn), write: false }))
  expect(recorder.maps).toEqual(['8000 +4000 r'])
  expect(recorder.pages.get(0xb000n)).toBe(0xb000)
})

test('direct and relaxable regions are mapped; the interrupt window and what is kept out are not', () => {
  const recorder = new Recorder()
  mapDirect(
    recorder.domain,
    device(
      region(0x1000n, 0x1fffn),
      region(0x5000n, 0x5fffn, 'relaxable'),
      region(0xfee0_0000n, 0xfeef_ffffn, 'msi'),
      region(0x9000n, 0x9fffn, 'reserved'),
    ),
  )
  expect(recorder.maps).toEqual(['1000 +1000 rw', '5000 +1000 rw'])
})

test('a region that is not made of whole pages is mapped with the pages it touches', () => {
  const recorder = new Recorder()
  mapDirect(recorder.domain, device(region(0x1800n, 0x2000n)))
  expect(recorder.maps).toEqual(['1000 +2000 rw'])
  const large = new Recorder(0x1_0000n)
  mapDirect(large.domain, device(region(0x1_8000n, 0x1_8fffn)))
  expect(large.maps).toEqual(['10000 +10000 rw'])
})

test('pages that are mapped already stay: two functions may share a region, and regions may overlap', () => {
  const recorder = new Recorder()
  mapDirect(recorder.domain, device(region(0x3000n, 0x4fffn)))
  mapDirect(recorder.domain, device(region(0x1000n, 0x6fffn), region(0x6000n, 0x7fffn)))
  expect(recorder.maps).toEqual(['3000 +2000 rw', '1000 +2000 rw', '5000 +2000 rw', '7000 +1000 rw'])
})

test('a domain without tables is left alone', () => {
  expect(() => mapDirect({ type: 'identity' }, device(region(0x1000n, 0x1fffn)))).not.toThrow()
})

test('when there is no memory for tables the caller hears of it', () => {
  const recorder = new Recorder()
  recorder.left = 1
  expect(() => mapDirect(recorder.domain, device(region(0n, 0xfffn), region(0x2000n, 0x2fffn)))).toThrow('ENOMEM')
})
