/** One ioctl with a struct: filled from the script line, placed, called, and read back. */
import type { AnyIoctlCall } from '@ioasis/core'
import { attempt } from './attempt.ts'
import { bytesToHex } from './hex.ts'
import { printCapabilities } from './info-capabilities.ts'
import type { IoctlOperation } from './ioctl-operation.ts'
import { MEMBER_NAMES } from './ioctl-operations.ts'
import { hexText, printDescriptor, printInteger, printPointer, type StepOutcome } from './outcome.ts'
import { loadInteger, type Payload, payloadOf, storeInteger } from './payload.ts'
import type { PlacedStruct } from './scratch.ts'
import type { ScriptLine } from './script-line.ts'
import { TraceError } from './trace-file.ts'
import type { TraceProcess } from './trace-process.ts'

/** Keys of a script line that are not members of the struct. */
const HARNESS = new Set(['data', 'datalen', 'fill', '_arg', '_len', '_tail'])

interface Member {
  /** As in a trace. */
  readonly name: string
  readonly offset: number
  readonly width: number
}

/** One call with a struct. */
export class StructCall {
  readonly #line: ScriptLine
  readonly #operation: IoctlOperation
  readonly #call: AnyIoctlCall
  readonly #process: TraceProcess
  readonly #members: readonly Member[]
  readonly #size: number
  readonly #payload: Payload | undefined
  readonly #printed: Record<string, unknown> = {}

  constructor(line: ScriptLine, operation: IoctlOperation, call: AnyIoctlCall, process: TraceProcess) {
    if (!call.struct) throw new TraceError(`${call.name} has no struct in the tables of this host`)
    this.#line = line
    const named = (member: string): string => operation.otherNames?.[member]?.find((n) => line.keys.has(n)) ?? member
    this.#operation = operation.otherNames ? { ...operation, in: operation.in.map(named) } : operation
    this.#call = call
    this.#process = process
    this.#size = call.struct.size
    this.#members = call.struct.fields
      .filter((f) => f.size > 0)
      .map((f) => ({ name: named(traceName(call.name, f.name)), offset: f.offset, width: memberWidth(call.name, f) }))
    this.#payload = this.#readPayload()
  }

  play(): StepOutcome {
    const { names } = this.#process
    const target = names.value(this.#line.words[0] ?? '-1')
    this.#printed['fd'] = printDescriptor(target.number, target.shown)
    const bytes = this.#fill()
    const placed = this.#place(bytes)
    const { ret, errno } = attempt(this.#process, Number(target.number), this.#call, placed.arg)
    const after = placed.read() ?? bytes
    const out = this.#outputs(bytes, after, errno === null)
    if (errno === null) this.#bind(ret, after)
    const created = this.#operation.returnsDescriptor === true && errno === null && this.#isDescriptor(ret)
    return { in: this.#printed, ret: created ? 'fd' : ret, errno, out }
  }

  /** A feature that makes a file returns its descriptor, 0 is no descriptor there: standard input is open. */
  #isDescriptor(ret: number): boolean {
    return this.#call.name !== 'VFIO_DEVICE_FEATURE' || ret > 0
  }
  #member(name: string): Member {
    const found = this.#members.find((m) => m.name === name)
    if (!found) throw new TraceError(`${this.#call.name} has no member "${name}"`)
    return found
  }
  #readPayload(): Payload | undefined {
    const { keys } = this.#line
    const { names } = this.#process
    const data = keys.get('data')
    const room = keys.get('datalen')
    // A member may itself be called data: then only what is written as a payload is one.
    if (data !== undefined && /^(?:u8|u16|u32|u64|fd|hex|str|zero|ff):/.test(data)) {
      const payload = payloadOf(data, names)
      if (this.#ownsData()) return payload
      this.#printed['data'] = payload.shown
      return payload
    }
    if (room === undefined) return undefined
    const length = names.count(room, 'datalen')
    this.#printed['datalen'] = length
    const bytes = new Uint8Array(length).fill(names.count(keys.get('fill') ?? '0', 'fill'))
    return { bytes, shown: '' }
  }
  /** IOMMU_HWPT_GET_DIRTY_BITMAP prints its member `data`. */
  #ownsData(): boolean {
    return this.#operation.in.includes('data')
  }

  /** The struct: defaults, what the payload sets, what the script says; each input is printed. */
  #fill(): Uint8Array {
    const { payload, descriptors = [] } = this.#operation
    const values = new Map<string, { readonly number: bigint; readonly shown: string | undefined }>()
    const set = (name: string, number: bigint, shown?: string): void => void values.set(name, { number, shown })
    const behind = payload === 'behind' ? (this.#payload?.bytes.length ?? 0) : 0
    for (const size of ['size', 'argsz']) if (this.#operation.in.includes(size)) set(size, BigInt(this.#size + behind))
    for (const name of descriptors) if (this.#operation.in.includes(name)) set(name, -1n)
    for (const [name, value] of Object.entries(this.#operation.preset ?? {})) set(name, BigInt(value))
    if (this.#payload && payload !== undefined && payload !== 'behind') {
      set(payload.pointer, this.#process.scratch.payload(this.#payload.bytes), '&data')
      if (payload.length) set(payload.length, BigInt(this.#payload.bytes.length / (payload.unit ?? 1)))
    }
    for (const [name, text] of this.#line.keys) {
      if (HARNESS.has(name) && !(name === 'data' && this.#ownsData() && !this.#payload)) continue
      const { number, shown } = this.#process.names.value(text)
      set(name, number, shown)
    }
    const bytes = new Uint8Array(this.#size)
    for (const [name, { number }] of values) {
      const { offset, width } = this.#member(name)
      storeInteger(bytes, offset, width, number)
    }
    for (const name of new Set([...this.#operation.in, ...values.keys()])) {
      const { number, shown } = values.get(name) ?? { number: 0n, shown: undefined }
      this.#printed[name] = this.#print(name, number, shown)
    }
    return bytes
  }
  #print(name: string, value: bigint, shown?: string): unknown {
    const { descriptors = [], pointers = [] } = this.#operation
    if (descriptors.includes(name)) return printDescriptor(value, shown)
    if (pointers.includes(name)) return printPointer(value, shown)
    return printInteger(value, this.#member(name).width)
  }
  #place(struct: Uint8Array): PlacedStruct {
    const { keys } = this.#line
    const { names, scratch } = this.#process
    const how = keys.get('_arg')
    const tail = keys.get('_tail')
    const behind = this.#operation.payload === 'behind' ? this.#payload?.bytes : undefined
    const tailBytes = tail === undefined ? new Uint8Array(0) : payloadOf(tail, names).bytes
    const length = keys.has('_len') ? names.count(keys.get('_len'), '_len') : this.#size
    if (how !== undefined) this.#printed['_arg'] = how
    if (how === 'edge') this.#printed['_len'] = length
    if (tail !== undefined) this.#printed['_tail'] = bytesToHex(tailBytes)
    return scratch.place(joined(struct, behind ?? tailBytes), how, length)
  }

  /** On success every output; after a refusal what changed. */
  #outputs(before: Uint8Array, after: Uint8Array, succeeded: boolean): Record<string, unknown> {
    const changed = (m: Member): boolean =>
      loadInteger(before, m.offset, m.width) !== loadInteger(after, m.offset, m.width)
    const out: Record<string, unknown> = {}
    const { out: outputs, descriptors = [] } = this.#operation
    for (const m of this.#members) {
      if (!(succeeded && outputs.includes(m.name)) && !changed(m)) continue
      const value = loadInteger(after, m.offset, m.width)
      out[m.name] = descriptors.includes(m.name) ? 'fd' : printInteger(value, m.width)
    }
    this.#printPayload(out, after, succeeded)
    return out
  }
  #printPayload(out: Record<string, unknown>, after: Uint8Array, succeeded: boolean): void {
    const { payload, reads } = this.#operation
    const given = this.#payload?.bytes
    const room = given?.length ?? 0
    const now =
      payload === 'behind' ? after.slice(this.#size, this.#size + room) : this.#process.scratch.readPayload(room)
    const touched = given !== undefined && bytesToHex(given) !== bytesToHex(now)
    switch (reads) {
      case 'ranges':
        if (succeeded || touched || Object.keys(out).length > 0) out['ranges'] = this.#ranges(after, now)
        return
      case 'capabilities':
        if (succeeded && given) this.#capabilities(out, after)
        return
      case 'nothing':
        return
      case 'data':
      case undefined:
        if (touched || (succeeded && given && reads === 'data')) out['data'] = bytesToHex(now)
    }
  }
  #ranges(after: Uint8Array, now: Uint8Array): [string, string][] {
    const { offset, width } = this.#member('num_iovas')
    const count = Math.min(Number(loadInteger(after, offset, width)), Math.floor(now.length / 16))
    return Array.from({ length: count }, (_, i) => [
      hexText(loadInteger(now, 16 * i, 8)),
      hexText(loadInteger(now, 16 * i + 8, 8)),
    ])
  }
  #capabilities(out: Record<string, unknown>, after: Uint8Array): void {
    const { offset, width } = this.#member('cap_offset')
    const caps = printCapabilities(this.#call.name, after, Number(loadInteger(after, offset, width)))
    if (caps.length > 0) out['caps'] = caps
  }
  #bind(ret: number, after: Uint8Array): void {
    const { names } = this.#process
    const { descriptors = [] } = this.#operation
    for (const { name, field } of this.#line.results) {
      if (field === undefined) {
        names.bindFd(name, ret)
        continue
      }
      const { offset, width } = this.#member(field)
      const value = loadInteger(after, offset, width)
      if (descriptors.includes(field)) names.bindFd(name, Number(BigInt.asIntN(32, value)))
      else names.bindVariable(name, value)
    }
  }
}

/** How a trace calls a member of the struct. */
function traceName(call: string, member: string): string {
  const names = MEMBER_NAMES[call] ?? {}
  return Object.keys(names).find((trace) => names[trace]?.includes(member)) ?? member
}
/** Of reserved bytes a trace names the first alone. */
const memberWidth = (call: string, field: { readonly name: string; readonly size: number }): number =>
  traceName(call, field.name) === '__reserved0' ? 1 : field.size

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const whole = new Uint8Array(a.length + b.length)
  whole.set(a)
  whole.set(b, a.length)
  return whole
}
