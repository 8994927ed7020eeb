/** Operations on the memory of the process: buffers, mapped regions, loads and stores. */
import type { AccessSize } from '@ioasis/core'
import { bytesToHex } from './hex.ts'
import type { Operation, RunOperation } from './operation.ts'
import { hexText, printDescriptor, printPointer } from './outcome.ts'
import { payloadOf } from './payload.ts'
import { TraceError } from './trace-file.ts'
import { word } from './words.ts'

const REGION_SHIFT = 40n

/** The user address a line begins with, printed as `at`. */
function address({ line, process, in: inputs }: Operation): bigint {
  const { number, shown } = process.names.value(word(line, 0))
  inputs['at'] = printPointer(number, shown)
  return number
}

function accessSize(text: string): AccessSize {
  const width = Number(text)
  if (width === 1 || width === 2 || width === 4 || width === 8) return width
  throw new TraceError(`"${text}" is no width of an access`)
}

export const MEMORY_OPERATIONS: Readonly<Record<string, RunOperation>> = {
  mem: ({ line, process, in: inputs }) => {
    const bytes = process.names.number(word(line, 1))
    const kind = line.words[2] ?? 'rw'
    const huge = kind === 'huge'
    inputs['name'] = word(line, 0)
    inputs['size'] = hexText(bytes)
    inputs['kind'] = kind
    const uva = process.nextBuffer()
    const write = kind === 'rw' || huge
    process.mapMemory({ uva, bytes: Number(bytes), read: kind !== 'none', write, huge })
    process.names.bindBuffer(word(line, 0), uva)
  },
  munmap: (operation) => {
    const uva = address(operation)
    const bytes = operation.process.names.number(word(operation.line, 1))
    operation.in['length'] = hexText(bytes)
    operation.process.calls.munmap(uva, bytes)
  },
  mmap_region: ({ line, process, in: inputs }) => {
    const { names } = process
    const { number: fd, shown } = names.value(word(line, 1))
    const region = names.number(word(line, 2))
    const offset = names.number(word(line, 3))
    const bytes = names.number(word(line, 4))
    const prot = line.words.includes('ro', 5) ? 'ro' : 'rw'
    const share = line.words.includes('private', 5) ? 'private' : 'shared'
    inputs['name'] = word(line, 0)
    inputs['fd'] = printDescriptor(fd, shown)
    inputs['region'] = Number(region)
    inputs['off'] = hexText(offset)
    inputs['length'] = hexText(bytes)
    inputs['prot'] = prot
    inputs['share'] = share
    const uva = process.calls.mmap({
      fd: Number(BigInt.asIntN(32, fd)),
      offset: (region << REGION_SHIFT) + offset,
      bytes,
      uva: process.nextBuffer(),
      read: true,
      write: prot === 'rw',
      shared: share === 'shared',
    })
    names.bindBuffer(word(line, 0), uva)
  },
  fill: (operation) => {
    const { line, process, in: inputs } = operation
    const uva = address(operation)
    const length = process.names.count(line.words[1], 'length')
    const byte = process.names.count(line.words[2], 'byte')
    inputs['length'] = hexText(length)
    inputs['byte'] = byte
    process.calls.poke(uva, new Uint8Array(length).fill(byte))
  },
  peek: (operation) => {
    const uva = address(operation)
    const length = operation.process.names.count(operation.line.words[1], 'length')
    operation.in['length'] = length
    operation.out['data'] = bytesToHex(operation.process.calls.peek(uva, length))
  },
  poke: (operation) => {
    const uva = address(operation)
    const payload = payloadOf(word(operation.line, 1), operation.process.names)
    operation.in['data'] = payload.shown
    operation.process.calls.poke(uva, payload.bytes)
  },
  mr: (operation) => {
    const uva = address(operation)
    const width = accessSize(word(operation.line, 1))
    operation.in['width'] = width
    const value = operation.process.calls.memRead(uva, width)
    operation.signal = typeof value === 'bigint' ? null : value
    if (typeof value === 'bigint') operation.out['value'] = hexText(value)
  },
  mw: (operation) => {
    const uva = address(operation)
    const width = accessSize(word(operation.line, 1))
    const value = operation.process.names.number(word(operation.line, 2))
    operation.in['width'] = width
    operation.in['value'] = hexText(value)
    operation.signal = operation.process.calls.memWrite(uva, width, BigInt.asUintN(8 * width, value)) ?? null
  },
}
