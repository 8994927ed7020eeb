/** Memory of the process, its limits, and the device of scripts of POWER machines. */
import { UapiError } from '@ioasis/core'
import { bytesToHex } from '../hex.ts'
import { hexText } from '../outcome.ts'
import { loadInteger, storeInteger } from '../payload.ts'
import { TraceError } from '../trace-file.ts'
import type { PowerLine, RunPowerLine } from './power-line.ts'

const kilobytes = (line: PowerLine, pages: number): number =>
  (pages * line.process.calls.process.addressSpace.pageBytes) / 1024

const alloc: RunPowerLine = (line) => {
  const { process } = line
  const bytes = line.number('size')
  const kind = line.text('kind', 'anon')
  line.in['size'] = hexText(bytes)
  line.in['kind'] = kind
  const uva = line.has('at') ? line.number('at') : process.names.nextBuffer(bytes, line.number('align', '0'))
  const huge = process.world.hugePages?.bytes
  if (kind === 'huge' && huge === undefined) throw new UapiError('EINVAL', 'mmap', { bytes })
  process.calls.mmap({
    uva,
    bytes,
    read: kind !== 'none',
    write: kind !== 'ro' && kind !== 'none',
    shared: kind === 'shared',
    ...(kind === 'huge' && huge !== undefined && { huge }),
  })
  // Anonymous memory was touched: one byte of each page.
  if (kind === 'anon') {
    const page = process.calls.process.addressSpace.pageBytes
    for (let at = 0; at < Number(bytes); at += page) process.calls.poke(uva + BigInt(at), new Uint8Array(1))
  }
  line.out['vaddr'] = hexText(uva)
  if (line.has('as')) process.values.set(line.text('as'), uva)
}

/** vaddr and size, printed. */
function range(line: PowerLine): readonly [uva: bigint, bytes: number] {
  const [uva, bytes] = [line.number('vaddr'), line.number('size')]
  line.in['vaddr'] = hexText(uva)
  line.in['size'] = hexText(bytes)
  return [uva, Number(bytes)]
}
const PROTECTIONS: Readonly<Record<string, { readonly read: boolean; readonly write: boolean }>> = {
  none: { read: false, write: false },
  r: { read: true, write: false },
  ro: { read: true, write: false },
  w: { read: true, write: true },
  rw: { read: true, write: true },
}

/** Numbers of /proc/meminfo about huge pages; none in a kernel without them. */
const meminfo: RunPowerLine = (line) => {
  const pool = line.process.world.hugePages
  if (!pool) return
  const { free, reserved } = pool.use(line.process.calls.process.addressSpace)
  Object.assign(line.out, {
    HugePages_Total: pool.total,
    HugePages_Free: free,
    HugePages_Rsvd: reserved,
    HugePages_Surp: 0,
    Hugepagesize: pool.bytes / 1024,
  })
}

/** Regions of a vfio-pci device: where each begins in its file. */
const regionAt = (index: number): bigint => BigInt(index) << 40n
const CONFIG = 7
const COMMAND = 4
const MEMORY_AND_MASTER = 6

function regionInfo(line: PowerLine, fd: number, index: number): DataView {
  const bytes = new Uint8Array(32)
  storeInteger(bytes, 0, 4, 32n)
  storeInteger(bytes, 8, 4, BigInt(index))
  const placed = line.process.place(bytes, false)
  line.process.ioctl(fd, 'VFIO_DEVICE_GET_REGION_INFO', placed.arg)
  return placed.read() ?? new DataView(bytes.buffer)
}
function load(line: PowerLine, fd: number, at: bigint, bytes: number): bigint {
  const into = new Uint8Array(bytes)
  const done = line.process.calls.pread(fd, at, into)
  if (done < bytes) throw new UapiError('EIO', 'pread', { at, done })
  return loadInteger(into, 0, bytes)
}
function store(line: PowerLine, fd: number, at: bigint, bytes: number, value: bigint): number {
  const from = new Uint8Array(bytes)
  storeInteger(from, 0, bytes, value)
  return line.process.calls.pwrite(fd, at, from)
}

const eduOpen: RunPowerLine = (line) => {
  const fd = line.fd()
  const info = regionInfo(line, fd, 0)
  const bytes = info.getBigUint64(16, true)
  const registers = line.process.calls.mmap({ fd, offset: info.getBigUint64(24, true), bytes })
  const command = load(line, fd, regionAt(CONFIG) + BigInt(COMMAND), 2)
  store(line, fd, regionAt(CONFIG) + BigInt(COMMAND), 2, command | BigInt(MEMORY_AND_MASTER))
  line.process.names.registers = registers
  line.out['bar0_size'] = hexText(bytes)
  line.out['bar0_flags'] = info.getUint32(4, true)
  line.out['ident'] = hexText(readRegister(line, 0n, 4))
}
function registerAt(line: PowerLine, offset: bigint): bigint {
  const { registers } = line.process.names
  if (registers === undefined) throw new UapiError('EBADF', line.op)
  return registers + offset
}
/** @throws UapiError EFAULT where the program would be killed */
function readRegister(line: PowerLine, offset: bigint, width: 4 | 8): bigint {
  const value = line.process.calls.memRead(registerAt(line, offset), width)
  if (typeof value === 'bigint') return value
  throw new UapiError('EFAULT', line.op, { offset })
}
function writeRegister(line: PowerLine, offset: bigint, value: bigint): void {
  const signal = line.process.calls.memWrite(registerAt(line, offset), 8, BigInt.asUintN(64, value))
  if (signal) throw new UapiError('EFAULT', line.op, { offset })
}

/** Registers of QEMU's edu device, docs/specs/edu.rst. */
const SOURCE = 0x80n
const DESTINATION = 0x88n
const COUNT = 0x90n
const RUN = 0x98n
const BUFFER = 0x40000n
const FROM_DEVICE = 2n
/** The harness asks again until the engine is idle, for at most this long. */
const MOST_MS = 2000

const eduDma: RunPowerLine = (line) => {
  const [iova, length] = [line.number('iova'), line.number('len')]
  const out = line.text('dir') === 'out'
  line.in['iova'] = hexText(iova)
  line.in['len'] = hexText(length)
  line.in['dir'] = line.text('dir')
  writeRegister(line, SOURCE, out ? BUFFER : iova)
  writeRegister(line, DESTINATION, out ? iova : BUFFER)
  writeRegister(line, COUNT, length)
  writeRegister(line, RUN, 1n | (out ? FROM_DEVICE : 0n))
  let idle = false
  for (let ms = 0; ms < MOST_MS && !idle; ms += 10) {
    line.process.world.pass(10)
    idle = (readRegister(line, RUN, 8) & 1n) === 0n
  }
  line.out['done'] = idle
}

const configAccess =
  (write: boolean): RunPowerLine =>
  (line) => {
    const fd = line.fd()
    const [offset, length] = [line.number('off'), line.count('len', '4')]
    line.in['off'] = Number(offset)
    line.in['len'] = length
    if (write) {
      const value = line.number('val')
      line.in['val'] = hexText(value)
      return store(line, fd, regionAt(CONFIG) + offset, length, value)
    }
    line.out['val'] = hexText(load(line, fd, regionAt(CONFIG) + offset, length))
    return length
  }

/** Operations on memory, limits and the device. */
export const MEMORY_OPERATIONS: Readonly<Record<string, RunPowerLine>> = {
  alloc,
  munmap: (line) => {
    line.process.calls.munmap(...range(line))
  },
  mprotect: (line) => {
    const prot = line.text('prot')
    const [uva, bytes] = range(line)
    line.in['prot'] = prot
    const how = PROTECTIONS[prot]
    if (!how) throw new TraceError(`"${prot}" is no protection`)
    line.process.calls.process.addressSpace.protect(uva, bytes, how)
  },
  fill: (line) => {
    const [uva, bytes] = range(line)
    const byte = line.count('byte')
    line.in['byte'] = byte
    line.process.calls.poke(uva, new Uint8Array(bytes).fill(byte))
  },
  peek: (line) => {
    const bytes = line.process.calls.peek(...range(line))
    line.out['head'] = bytesToHex(bytes.subarray(0, 16))
    line.out['uniform'] = bytes.every((byte) => byte === bytes[0])
  },
  vmlck: (line) => {
    const { addressSpace } = line.process.calls.process
    line.out['VmLck_kB'] = kilobytes(line, addressSpace.locked.pages)
    line.out['VmPin_kB'] = kilobytes(line, addressSpace.pinnedPages)
  },
  meminfo,
  rlimit_memlock: (line) => {
    const { process } = line.process.calls
    const soft = line.number('soft')
    line.in['soft'] = hexText(soft)
    process.limits = { ...process.limits, memlock: Number(soft) }
  },
  drop_caps: (line) => {
    const { process } = line.process.calls
    process.credentials = { ...process.credentials, capabilities: new Set() }
  },
  cfg_read: configAccess(false),
  cfg_write: configAccess(true),
  edu_open: eduOpen,
  edu_read: (line) => {
    const offset = line.number('off')
    line.in['off'] = hexText(offset)
    line.out['val'] = hexText(readRegister(line, offset, 4))
  },
  edu_dma: eduDma,
}
