/** Operations on descriptors. */
import { POLL, UapiError } from '@ioasis/core'
import { bytesToHex } from './hex.ts'
import type { Operation, RunOperation } from './operation.ts'
import { hexText, printDescriptor } from './outcome.ts'
import { payloadOf } from './payload.ts'
import type { TraceProcess } from './trace-process.ts'
import { word } from './words.ts'

/** Region index of a device file's offset. */
const REGION_SHIFT = 40n
const EVENT_WAIT_MS = 10

/** The descriptor a line begins with, printed as `fd`. */
function descriptor({ line, process, in: inputs }: Operation, index = 0): number {
  const { number, shown } = process.names.value(word(line, index))
  inputs['fd'] = printDescriptor(number, shown)
  return Number(BigInt.asIntN(32, number))
}

/** @throws UapiError ENOENT when the device has no such node */
export function openPath(process: TraceProcess, path: string, how: 'rw' | 'ro' | 'wo'): number {
  const found = process.world.paths.resolve(path)
  if (found === undefined) throw new UapiError('ENOENT', 'open', { path })
  return process.calls.open(found, how)
}

const access = (text: string): 'rw' | 'ro' | 'wo' => (text === 'ro' || text === 'wo' ? text : 'rw')

/** Region and offset of `pread @dev REGION OFF`, printed. */
function regionOffset({ line, process, in: inputs }: Operation): bigint {
  const region = process.names.number(word(line, 1))
  const offset = process.names.number(word(line, 2))
  inputs['region'] = Number(region)
  inputs['off'] = hexText(offset)
  return (region << REGION_SHIFT) + offset
}

/** Those bytes that were read are printed; none are not. */
function readInto(operation: Operation, bytes: number, read: (into: Uint8Array) => number): number {
  const into = new Uint8Array(bytes)
  const done = read(into)
  if (done > 0) operation.out['data'] = bytesToHex(into.subarray(0, done))
  return done
}

export const FILE_OPERATIONS: Readonly<Record<string, RunOperation>> = {
  open: ({ line, process, in: inputs }) => {
    const path = word(line, 1)
    const how = access(line.words[2] ?? 'rw')
    inputs['path'] = path
    inputs['flags'] = how
    process.names.bindFd(word(line, 0), openPath(process, path, how))
  },
  close: (operation) => {
    operation.process.calls.close(descriptor(operation))
    const name = word(operation.line, 0)
    if (name.startsWith('@')) operation.process.names.unbindFd(name.slice(1))
  },
  dup: (operation) => {
    const { line, process, in: inputs } = operation
    const first = word(line, 0)
    // `dup @old -> new`, or as other operations that make a descriptor are written: `dup new @old`.
    const named = !first.startsWith('@') && line.words.length > 1
    if (named) inputs['name'] = first
    const fd = process.calls.dup(descriptor(operation, named ? 1 : 0))
    for (const name of named ? [first] : line.results.map((result) => result.name)) process.names.bindFd(name, fd)
  },
  ioctl: (operation) => {
    const { line, process, in: inputs } = operation
    const fd = descriptor(operation)
    const number = process.names.number(word(line, 1))
    const arg = process.names.number(word(line, 2))
    inputs['nr'] = hexText(number)
    inputs['arg'] = hexText(arg)
    return process.calls.ioctl(fd, Number(number), arg)
  },
  read: (operation) => {
    const fd = descriptor(operation)
    const length = operation.process.names.count(operation.line.words[1], 'length')
    operation.in['length'] = length
    return readInto(operation, length, (into) => operation.process.calls.read(fd, into))
  },
  write: (operation) => {
    const fd = descriptor(operation)
    const payload = payloadOf(word(operation.line, 1), operation.process.names)
    operation.in['length'] = payload.bytes.length
    operation.in['data'] = payload.shown
    return operation.process.calls.write(fd, payload.bytes)
  },
  pread: (operation) => {
    const fd = descriptor(operation)
    const offset = regionOffset(operation)
    const length = operation.process.names.count(operation.line.words[3], 'length')
    operation.in['length'] = length
    return readInto(operation, length, (into) => operation.process.calls.pread(fd, offset, into))
  },
  pwrite: (operation) => {
    const fd = descriptor(operation)
    const offset = regionOffset(operation)
    const payload = payloadOf(word(operation.line, 3), operation.process.names)
    operation.in['data'] = payload.shown
    return operation.process.calls.pwrite(fd, offset, payload.bytes)
  },
  poll: (operation) => {
    const fd = descriptor(operation)
    const [revents = 0] = operation.process.calls.poll([{ fd, events: POLL.IN | POLL.OUT | POLL.PRI }])
    operation.out['revents'] = revents
    return revents === 0 ? 0 : 1
  },
  eventfd: ({ line, process, in: inputs }) => {
    inputs['name'] = word(line, 0)
    process.names.bindFd(word(line, 0), process.calls.eventfd())
  },
  eventfd_read: (operation) => {
    const { line, process, out } = operation
    const fd = descriptor(operation)
    out['count'] = 0
    const into = new Uint8Array(8)
    const done = readEvent(process, fd, into, Number(line.words[1] ?? 0))
    out['count'] = Number(new DataView(into.buffer).getBigUint64(0, true))
    return done
  },
  memfd: ({ line, process, in: inputs }) => {
    const bytes = process.names.number(word(line, 1))
    inputs['name'] = word(line, 0)
    inputs['size'] = hexText(bytes)
    process.names.bindFd(word(line, 0), process.calls.memfd(Number(bytes), { name: word(line, 0) }))
  },
}

/** Tries until something was signalled, at most `tries` times 10 ms of virtual time later. @throws UapiError EAGAIN */
function readEvent(process: TraceProcess, fd: number, into: Uint8Array, tries: number): number {
  for (let left = tries; ; left--) {
    try {
      return process.calls.read(fd, into)
    } catch (error) {
      if (!(error instanceof UapiError) || error.errno !== 'EAGAIN' || left <= 0) throw error
      process.world.pass(EVENT_WAIT_MS)
    }
  }
}
