/**
 * Row 8: IOMMU_IOAS_MAP of one page and its UNMAP as whole system calls of a program, on an IOAS with 10000 areas, with a
 * device attached and without; and their parts: decoding the struct, a call that does nothing.
 */
import { Client, createHost, IommuGroups, IoctlDispatch, IOMMUFD_CONVENTION, Processes } from '@ioasis/core'
import { dmaEngine } from '@ioasis/devices'
import { intelIommu } from '@ioasis/iommu-intel'
import { IOMMU_IOAS_ALLOC, IOMMU_IOAS_MAP, IOMMU_IOAS_UNMAP, iommufd, MAP_FLAG } from '@ioasis/iommufd'
import { keep, measure, spread } from './measure.mjs'
import { measureRounds, timed } from './rounds.mjs'
import { range, timeRow, unit, verdict } from './table.mjs'

const AREAS = 10_000
/** Areas that are unmapped at a time. */
const PART = 1000
const PAGE = 4096n
const IOVA = 0x1_0000_0000n
/** Areas lie a page apart. */
const STRIDE = 8192n
const RIGHTS = MAP_FLAG.READABLE | MAP_FLAG.WRITEABLE
const FLAGS = MAP_FLAG.FIXED_IOVA | RIGHTS

/** Area `i` of the order in which they are asked for: all of them once, far apart. */
const nth = (i) => (i * 4093) % AREAS

function makeProgram() {
  const host = createHost({
    machine: { ram: 2 ** 28 },
    plugins: [intelIommu(), dmaEngine({ at: '00:02.0', command: 4 }), iommufd()],
  })
  const client = new Client(host, host.get(Processes).spawn())
  const fd = client.open('/dev/iommu')
  const ioas_id = client.ioctl(fd, IOMMU_IOAS_ALLOC, {}).out_ioas_id
  return { host, client, fd, ioas_id, uva: client.mmap({ bytes: BigInt(AREAS) * PAGE }) }
}
/** Attaches the engine's function to the IOAS, as a VFIO driver does for VFIO_DEVICE_ATTACH_IOMMUFD_PT. */
function attach({ host, client, fd, ioas_id }) {
  const [group] = host.get(IommuGroups).groups
  const [device] = group.devices
  client.fds.get(fd).addressSpaces.bindDevice(device.fn, device).attach(ioas_id)
}

/** ns of MAP and UNMAP beside two changes of a plain Map, which is the least that any book-keeping costs. */
function measured({ client, fd, ioas_id, uva }) {
  const iovas = Array.from({ length: AREAS }, (_, i) => IOVA + BigInt(i) * STRIDE)
  const uvas = Array.from({ length: AREAS }, (_, i) => uva + BigInt(i) * PAGE)
  const map = (i) =>
    client.ioctl(fd, IOMMU_IOAS_MAP, { flags: FLAGS, ioas_id, user_va: uvas[i], length: PAGE, iova: iovas[i] })
  const unmap = (i) => client.ioctl(fd, IOMMU_IOAS_UNMAP, { ioas_id, iova: iovas[i], length: PAGE })
  const plain = new Map()
  for (let i = 0; i < AREAS; i++) {
    map(nth(i))
    plain.set(i * 8192, i)
  }
  // In parts, so that the number of areas stays near what it is.
  return measureRounds(() => {
    const sum = { base: 0, unmap: 0, map: 0 }
    sum.base += timed(2 * AREAS, () => {
      for (let k = 0; k < AREAS; k++) plain.delete(nth(k) * 8192)
      for (let k = 0; k < AREAS; k++) plain.set(nth(k) * 8192, k)
    })
    for (let from = 0; from < AREAS; from += PART) {
      sum.unmap += timed(AREAS, () => {
        for (let k = from; k < from + PART; k++) unmap(nth(k))
      })
      sum.map += timed(AREAS, () => {
        for (let k = from + PART - 1; k >= from; k--) map(nth(k))
      })
    }
    return sum
  })
}

function callRows(device) {
  const program = makeProgram()
  if (device) attach(program)
  const seen = measured(program)
  program.host.close()
  return ['map', 'unmap'].map((what) => ({
    row: '8',
    what: `IOMMU_IOAS_${what.toUpperCase()} of a page, ${AREAS} areas, ${device ? 'a device attached' : 'no device'} / change of a Map`,
    subject: unit(spread(seen[what]).median, 'ns'),
    baseline: unit(spread(seen.base).median, 'ns'),
    ratio: range(spread(seen[what].map((ns, i) => ns / seen.base[i]))),
    goal: '1000 ns',
    reached: verdict(spread(seen[what]).median, 1000),
  }))
}

/** Decode and read all members but the size and what is reserved, as the row does; against the same by hand in a DataView. */
function decodeRow() {
  const { struct } = IOMMU_IOAS_MAP
  const calls = Array.from({ length: 256 }, (_, i) =>
    struct.make({
      size: 40,
      flags: FLAGS,
      ioas_id: 1,
      user_va: 0x7000_0000_0000n,
      length: PAGE,
      iova: BigInt(i) << 12n,
    }),
  )
  const views = calls.map((bytes) => new DataView(bytes.buffer))
  const subject = (n) => {
    let x = 0
    for (let i = 0; i < n; i++) {
      const { flags, ioas_id, __reserved, user_va, length, iova } = struct.decode(calls[i & 255])
      if (user_va > length && iova >= 0n) x += flags + ioas_id + __reserved
    }
    return x
  }
  const baseline = (n) => {
    let x = 0
    for (let i = 0; i < n; i++) {
      const view = views[i & 255]
      const user_va = view.getBigUint64(16, true)
      if (user_va > view.getBigUint64(24, true) && view.getBigUint64(32, true) >= 0n)
        x += view.getUint32(4, true) + view.getUint32(8, true) + view.getUint32(12, true)
    }
    return x
  }
  return timeRow('8', 'decode of struct iommu_ioas_map, six members read / by hand', measure({ subject, baseline }), 20)
}

/** A row that answers at once: what system call, dispatch and copy cost alone. */
function emptyRow() {
  const { host, client } = makeProgram()
  const row = { call: IOMMU_IOAS_MAP, run: () => ({ ret: 0 }) }
  const dispatch = new IoctlDispatch([{ file: 'empty', convention: IOMMUFD_CONVENTION, rows: [row] }])
  const file = {
    ioctl: (caller, number, arg) => dispatch.run(file, caller, number, arg),
    release() {},
  }
  const fd = client.adopt(file)
  const uva = client.put(IOMMU_IOAS_MAP.struct.make({ size: 40 }))
  const subject = (n) => {
    for (let i = 0; i < n; i++) keep(client.ioctl(fd, IOMMU_IOAS_MAP.number, uva))
    return n
  }
  const table = new Map([[IOMMU_IOAS_MAP.number, { run: () => 0 }]])
  const baseline = (n) => {
    let x = 0
    for (let i = 0; i < n; i++) x += table.get(IOMMU_IOAS_MAP.number).run()
    return x
  }
  const result = timeRow(
    '8',
    'a call without effect: copy in, decode, dispatch / a Map',
    measure({ subject, baseline }),
    200,
  )
  host.close()
  return result
}

export const rows = () => [...callRows(false), ...callRows(true), decodeRow(), emptyRow()]
