/**
 * Row 7: book-keeping of an IOAS with many areas: what IOMMU_IOAS_MAP and UNMAP do once their structs are read, no device
 * attached, and the look-up of an address. Random order. Beside it the same changes in a general ordered map.
 */
import { createHost, IommuGroups, Processes } from '@ioasis/core'
import { Ioas, IommufdContext, MAP_FLAG, mapUser, unmap } from '@ioasis/iommufd'
import { BaselineMap } from './baseline-map.mjs'
import { keep, spread } from './measure.mjs'
import { measureRounds, timed } from './rounds.mjs'
import { range, unit, verdict } from './table.mjs'

/** Areas that are unmapped at a time. */
const PART = 1000
const LENGTH = 4096n
/** Areas lie a page apart. */
const STRIDE = 8192
const BASE = 0x1_0000_0000
const UVA = 0x7000_0000_0000n
const FLAGS = MAP_FLAG.FIXED_IOVA | MAP_FLAG.READABLE | MAP_FLAG.WRITEABLE

/** 0 to n - 1 in an order that looks random and is always the same. */
function shuffled(n) {
  const order = Uint32Array.from({ length: n }, (_, i) => i)
  let seed = 12345
  for (let i = n - 1; i > 0; i--) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
    const j = Math.floor((seed / 2 ** 32) * (i + 1))
    const kept = order[i]
    order[i] = order[j]
    order[j] = kept
  }
  return order
}

/** The IOAS of a context and a caller, and its three operations, each on an operand made by the number of the area. */
function makeIoas() {
  const host = createHost({ machine: { ram: 2 ** 24 }, plugins: [] })
  const context = new IommufdContext({ groups: host.get(IommuGroups), pageBytes: 4096 }, 'user')
  const ioas = new Ioas(context)
  const caller = { process: host.get(Processes).spawn() }
  const { areas } = ioas.table
  return {
    operand: (i) => {
      const iova = BigInt(BASE + i * STRIDE)
      return { flags: FLAGS, iova, length: LENGTH, user_va: UVA + iova }
    },
    map: (input) => mapUser(context, ioas, caller, input),
    unmap: ({ iova }) => unmap(ioas, iova, LENGTH),
    find: ({ iova }) => areas.find(iova),
  }
}
function makeBaseline() {
  const map = new BaselineMap()
  return {
    operand: (i) => ({ first: BASE + i * STRIDE, last: BASE + i * STRIDE + 4095 }),
    map: ({ first, last }) => map.insert(first, last, { first }),
    unmap: ({ first }) => map.remove(first),
    find: ({ first }) => map.find(first),
  }
}

function used() {
  globalThis.gc?.()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}
/** @returns bytes per mapping */
function fill(store, order) {
  const before = used()
  for (const i of order) store.map(store.operand(i))
  return (used() - before) / order.length
}

/**
 * All of `picks` in parts: looks them up, unmaps them, maps them again in another order. In parts, so that the number of areas
 * stays near what it is; all in one go, so that caches are as warm as the number of areas allows. Operands are made before the
 * clock runs, as a decoded struct has them.
 * @returns ns of each
 */
function change(store, picks) {
  const sum = { find: 0, unmap: 0, map: 0 }
  const parts = picks.length / PART
  for (let part = 0; part < parts; part++) {
    const operands = Array.from(picks.subarray(part * PART, (part + 1) * PART), store.operand)
    sum.find += timed(picks.length, () => {
      for (let k = 0; k < PART; k++) if (store.find(operands[k])) keep(k)
    })
    sum.unmap += timed(picks.length, () => {
      for (let k = 0; k < PART; k++) store.unmap(operands[k])
    })
    sum.map += timed(picks.length, () => {
      for (let k = PART - 1; k >= 0; k--) store.map(operands[k])
    })
  }
  return sum
}

/** @param count operations of each kind per round: enough that what the other store left in the caches does not matter */
function measured(n, count) {
  const order = shuffled(n)
  const subject = makeIoas()
  const baseline = makeBaseline()
  const bytes = fill(subject, order)
  const baseBytes = fill(baseline, order)
  const all = Uint32Array.from({ length: Math.max(n, count) }, (_, i) => order[i % n])
  const seen = measureRounds((round) => {
    const at = (round * count) % (all.length - count + 1)
    const picks = all.subarray(at, at + count)
    const base = change(baseline, picks)
    return { ...change(subject, picks), baseFind: base.find, baseMap: base.map, baseUnmap: base.unmap }
  })
  return { seen, base: { find: seen.baseFind, map: seen.baseMap, unmap: seen.baseUnmap }, bytes, baseBytes }
}

function tableRows(n, count, goals) {
  const { seen, base, bytes, baseBytes } = measured(n, count)
  const rows = ['find', 'map', 'unmap'].map((what) => ({
    row: '7',
    what: `IOAS ${what}, ${n} areas / ${BaselineMap.label}`,
    subject: unit(spread(seen[what]).median, 'ns'),
    baseline: unit(spread(base[what]).median, 'ns'),
    ratio: range(spread(seen[what].map((ns, i) => ns / base[what][i]))),
    goal: `${goals[what]} ns`,
    reached: verdict(spread(seen[what]).median, goals[what]),
  }))
  if (!goals.bytes || !globalThis.gc) return rows
  const memory = {
    row: '7',
    what: `memory of a mapping with its pages, ${n} areas / ${BaselineMap.label}`,
    subject: unit(bytes, 'B'),
    baseline: unit(baseBytes, 'B'),
    ratio: (bytes / baseBytes).toFixed(2),
    goal: `${goals.bytes} B`,
    reached: verdict(bytes, goals.bytes),
  }
  return [...rows, memory]
}

export const rows = () => [
  ...tableRows(10_000, 40_000, { find: 105, map: 230, unmap: 125 }),
  ...tableRows(1_000_000, 50_000, { find: 800, map: 800, unmap: 800, bytes: 100 }),
]
