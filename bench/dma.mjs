/** Rows 3 to 5: DMA writes against plain `TypedArray.set` with a ready view. */
import { measure } from './measure.mjs'
import { ratioRow } from './table.mjs'
import { contiguous, makeWorld, PAGE, RW, scattered } from './world.mjs'

const MIB = 2 ** 20
const HPA = 0x1000_0000
/** Scattered pages; contiguous pages behind 4 KiB leaves (the run is not aligned for superpages); 2 MiB leaves. */
const SCATTERED = 0x7f00_0000_0000n
const CONTIGUOUS = 0x7f10_0000_0000n
const LARGE = 0x7f20_0000_0000n
const HI = { scattered: 0x7f00, contiguous: 0x7f10, large: 0x7f20 }

const subjectOf = (port, hi, from, size, places) => (n) => {
  let x = 0
  for (let i = 0; i < n; i++) x |= port.writeAt(hi, (i % places) * size, from, 0, size)
  return x
}
const plainOf = (target, from, size, places) => (n) => {
  for (let i = 0; i < n; i++) target.set(from, (i % places) * size)
  return target[0]
}

export function rows() {
  const { host, domain, port } = makeWorld()
  domain.map(
    SCATTERED,
    scattered(4096, (i) => HPA + ((i * 1567) % 4096) * PAGE),
    RW,
  )
  domain.map(CONTIGUOUS, contiguous(HPA + PAGE, 16 * MIB), RW)
  domain.map(LARGE, contiguous(HPA, 16 * MIB), RW)
  const source = new Uint8Array(4 * MIB).fill(7)
  const target = new Uint8Array(32 * MIB)
  const row = (id, what, hi, size, goal) => {
    const from = source.subarray(0, size)
    const places = size <= 64 ? 256 : Math.max(1, (2 * MIB) / size)
    const m = measure({
      subject: subjectOf(port, hi, from, size, places),
      baseline: plainOf(target, from, size, places),
      ms: size > MIB ? 40 : 8,
      rounds: 41,
    })
    return ratioRow(id, what, m, goal)
  }
  const result = [
    row('5', 'DMA write 64 B / set', HI.scattered, 64, 4),
    row('3', 'DMA write 4 KiB / set', HI.scattered, PAGE, 1.5),
    row('3', 'DMA write 64 KiB, contiguous 4 KiB leaves / set', HI.contiguous, 16 * PAGE, 1.25),
    row('3', 'DMA write 64 KiB, 2 MiB leaf / set', HI.large, 16 * PAGE, 1.25),
    row('3', 'DMA write 2 MiB, 2 MiB leaf / set', HI.large, 2 * MIB, 1.1),
    scatteredRow(port, source, target),
  ]
  host.close()
  return result
}

function scatteredRow(port, source, target) {
  const views = Array.from({ length: 16 }, (_, i) => source.subarray(i * PAGE, (i + 1) * PAGE))
  const offsets = Int32Array.from({ length: 512 }, (_, i) => (((i * 1567) % 4096) % 512) * PAGE)
  const baseline = (n) => {
    for (let i = 0; i < n; i++) for (let k = 0; k < 16; k++) target.set(views[k], offsets[((i & 31) << 4) + k])
    return target[0]
  }
  const subject = subjectOf(port, HI.scattered, source.subarray(0, 16 * PAGE), 16 * PAGE, 32)
  return ratioRow('4', 'DMA write 64 KiB, scattered / 16 sets of 4 KiB', measure({ subject, baseline, rounds: 41 }), 2)
}
