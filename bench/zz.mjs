import { measure } from './measure.mjs'
import { makeWorld, PAGE, RW, scattered } from './world.mjs'
import { Bus, DmaRequest } from '@ioasis/core'
const { host, domain, port } = makeWorld()
domain.map(
  0x7f0000000000n,
  scattered(65536, (i) => 0x10000000 + ((i * 40503) % 65536) * PAGE),
  RW,
)
const unit = host.get(Bus).units[0]
const r = new DmaRequest(0x10)
const t = (n) => {
  let x = 0
  for (let i = 0; i < n; i++) {
    r.access = 2
    r.iovaHi = 0x7f00
    r.iovaLo = (i & 511) << 3
    r.length = 8
    x |= unit.translate(r) + r.out.hpaLo
  }
  return x
}
const h = (n) => {
  let x = 0
  for (let i = 0; i < n; i++) x |= port.store64(0x7f00, (i & 511) << 3, i, 0)
  return x
}
const e = (n) => {
  let x = 0
  for (let i = 0; i < n; i++) x = (x + i) | 0
  return x
}
console.log('translate', measure({ subject: t, baseline: e }).subject.median.toFixed(2))
console.log('store64', measure({ subject: h, baseline: e }).subject.median.toFixed(2))
