/** Rows 1 and 2: an 8-byte DMA through the IOTLB, and with a walk of four levels each time. */
import { measure } from './measure.mjs'
import { timeRow } from './table.mjs'
import { makeWorld, PAGE, RW, scattered } from './world.mjs'

const HPA = 0x1000_0000
const IOVA = 0x7f00_0000_0000n
const IOVA_HI = 0x7f00
/** Twice the pages that the IOTLB holds, so that in-order accesses miss every time; their memory still fits the caches. */
const PAGES = 4096

export function rows() {
  const { host, domain, port } = makeWorld()
  domain.map(
    IOVA,
    scattered(PAGES, (i) => HPA + ((i * 40503) % PAGES) * PAGE),
    RW,
  )
  const plain = new Int32Array(1024)
  const stores = (n) => {
    for (let i = 0; i < n; i++) {
      const at = (i & 511) << 1
      plain[at] = i
      plain[at + 1] = 0
    }
    return plain[0]
  }
  const hit = (n) => {
    let x = 0
    for (let i = 0; i < n; i++) x |= port.store64(IOVA_HI, (i & 511) << 3, i, 0)
    return x
  }
  const spreadHit = (n) => {
    let x = 0
    for (let i = 0; i < n; i++) x |= port.store64(IOVA_HI, ((i * 37) & 255) << 12, i, 0)
    return x
  }
  const miss = (n) => {
    let x = 0
    for (let i = 0; i < n; i++) x |= port.store64(IOVA_HI, (i & (PAGES - 1)) << 12, i, 0)
    return x
  }
  const result = [
    timeRow(
      '1',
      '8-byte DMA write, IOTLB hit, same page / two plain stores',
      measure({ subject: hit, baseline: stores }),
      10,
    ),
    timeRow('1', '8-byte DMA write, IOTLB hit, 256 pages', measure({ subject: spreadHit, baseline: stores }), 10),
    timeRow('2', '8-byte DMA write, miss and 4-level walk each time', measure({ subject: miss, baseline: stores }), 60),
  ]
  host.close()
  return result
}
