/** Prints system calls from their rows, as strace(1) does: name, members by name, flags by name, the answer. */
import { hex } from '../address.ts'
import type { Member, MemberNames, StructField } from '../c-struct.ts'
import { ERRNO, UapiError } from '../errno.ts'
import type { Caller } from '../process/process.ts'
import { FdTable } from './fd-table.ts'
import type { AnyIoctlCall, IoctlTable } from './ioctl-row.ts'
import type { StructLayout } from '../c-struct.ts'

/** Told of calls; `SystemCalls.observer`. */
export interface CallObserver {
  /** Before an ioctl. @returns told of its result or refusal; undefined: not interested */
  ioctl(caller: Caller, fd: number, number: number, arg: bigint): ((result: number | UapiError) => void) | undefined
}

/** An ioctl to print. */
export interface PrintedCall {
  readonly fd: number
  /** The file's `ioctlTables`. Absent: the first call of that number in any table. */
  readonly tables?: readonly string[]
  readonly number: number
  readonly arg: bigint
  /** The struct before the call, as far as it can be read; undefined: not at all. */
  readonly before?: Uint8Array
  /** The struct after it. */
  readonly after?: Uint8Array
  /** What it returned, or why it was refused. */
  readonly result: number | UapiError
}

/** Knows the calls of a host by file and number. */
export class Strace implements CallObserver {
  readonly #tables: readonly IoctlTable[]
  readonly #sink: (line: string) => void

  /**
   * @param tables of the host: `host.all(IoctlTable)`
   * @param sink gets one line for each call
   */
  constructor(tables: readonly IoctlTable[], sink: (line: string) => void) {
    this.#tables = tables
    this.#sink = sink
  }

  ioctl(caller: Caller, fd: number, number: number, arg: bigint): (result: number | UapiError) => void {
    const tables = FdTable.of(caller.process).all.find((entry) => entry.fd === fd)?.file.ops.ioctlTables
    const call = this.#find(number, tables)
    const before = structAt(caller, call, arg)
    return (result) => {
      const after = caller.process.alive ? structAt(caller, call, arg) : undefined
      const structs = { ...(before && { before }), ...(after && { after }) }
      this.#sink(this.print({ fd, number, arg, result, ...(tables && { tables }), ...structs }))
    }
  }
  /** One line: `ioctl(3, IOMMU_IOAS_ALLOC, {size=12, flags=0, out_ioas_id=0 => 1}) = 0`. */
  print({ fd, number, arg, tables, before, after, result }: PrintedCall): string {
    const call = this.#find(number, tables)
    const name = call?.name ?? hex(number)
    return `ioctl(${fd}, ${name}${argumentText(call, arg, before, after)}) = ${resultText(result)}`
  }

  #find(number: number, files: readonly string[] | undefined): AnyIoctlCall | undefined {
    for (const { file, rows } of this.#tables) {
      const row = files && !files.includes(file) ? undefined : rows.find(({ call }) => call.number === number)
      if (row) return row.call
    }
    return undefined
  }
}

function structAt(caller: Caller, call: AnyIoctlCall | undefined, arg: bigint): Uint8Array | undefined {
  if (!call?.struct) return undefined
  const bytes = new Uint8Array(call.struct.size)
  const got = caller.process.addressSpace.copyIn(arg, bytes)
  return got >= Math.min(4, bytes.length) ? bytes : undefined
}

function argumentText(
  call: AnyIoctlCall | undefined,
  arg: bigint,
  before: Uint8Array | undefined,
  after: Uint8Array | undefined,
): string {
  if (call?.struct && before) return `, ${structText(call.struct.fields, before, after ?? before)}`
  if (call && !call.struct) return arg === 0n ? '' : `, ${hex(arg)}`
  return `, ${arg === 0n ? 'NULL' : hex(arg)}`
}

function resultText(result: number | UapiError): string {
  return typeof result === 'number' ? `${result}` : `-1 ${result.errno} (errno ${ERRNO[result.errno]})`
}

/** Members in order, `before => after` where the kernel wrote; reserved members only when they are not zero. */
function structText(fields: StructLayout<unknown>['fields'], before: Uint8Array, after: Uint8Array): string {
  const shown = fields.flatMap((field) => {
    const old = memberText(field, before)
    const now = memberText(field, after)
    if (field.name.startsWith('__') && old === '0' && now === '0') return []
    return [`${field.name}=${old === now ? old : `${old} => ${now}`}`]
  })
  return `{${shown.join(', ')}}`
}

function memberText({ member, offset }: StructField, bytes: Uint8Array): string {
  const words = Array.from({ length: Math.ceil(bytes.length / 4) }, () => 0)
  bytes.forEach((byte, at) => {
    words[at >>> 2] = (words[at >>> 2] as number) | (byte << ((at & 3) << 3))
  })
  return valueText(member.read(words, offset, {}), member)
}

/** Wide numbers in hexadecimal, as addresses mostly are; names where the member has them. */
function valueText(value: unknown, member?: Member<unknown>): string {
  if (member?.names && typeof value === 'number') return symbolic(value, member.names)
  if (typeof value === 'bigint') return value === 0n ? '0' : hex(value)
  if (value instanceof Uint8Array) return value.every((b) => b === 0) ? '0' : `"${hexText(value)}"`
  if (Array.isArray(value)) return value.every((v) => v === 0) ? '0' : `[${value.map((v) => valueText(v)).join(', ')}]`
  if (typeof value === 'object' && value !== null) {
    return `{${Object.entries(value)
      .map(([key, v]) => `${key}=${valueText(v)}`)
      .join(', ')}}`
  }
  return `${value as number}`
}

const hexText = (bytes: Uint8Array): string => Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('')

/** Flags joined by `|`, what has no name last in hexadecimal; a choice by its name. */
function symbolic(value: number, { kind, names }: MemberNames): string {
  if (kind === 'choice') return Object.entries(names).find(([, n]) => n === value)?.[0] ?? `${value}`
  let rest = value
  const shown: string[] = []
  for (const [name, bits] of Object.entries(names)) {
    if (bits === 0 || (value & bits) >>> 0 !== bits >>> 0) continue
    shown.push(name)
    rest &= ~bits
  }
  if (rest !== 0) shown.push(hex(rest >>> 0))
  return shown.length === 0 ? '0' : shown.join('|')
}
