/**
 * From the third argument of ioctl(2) to a row and back: size rules, copy in, run, copy out, abort.
 *
 * drivers/iommu/iommufd/main.c iommufd_fops_ioctl, include/linux/uaccess.h copy_struct_from_user, and the calls of
 * drivers/vfio and virt/kvm, which copy a fixed minimum.
 */
import type { Uva } from '../address.ts'
import type { Decoded, StructLayout } from '../c-struct.ts'
import { UapiError } from '../errno.ts'
import type { Caller } from '../process/process.ts'
import { ioctlNr } from './ioctl-number.ts'
import type { AnyIoctlRow, IoctlConvention, IoctlResult, IoctlTable } from './ioctl-row.ts'
import { type StructBuffer, structBuffer } from './struct-buffer.ts'
import { checkZeroed, readUser32 } from './user-memory.ts'

/** A row ready to run. */
interface Ready {
  readonly row: Run
  readonly convention: IoctlConvention
  readonly size: number
  /** Lent to one call at a time; a nested call of the same row makes its own. */
  buffer: Buffer | undefined
}
/** Where a struct lies between user memory and the row. */
interface Buffer extends StructBuffer {
  /** What the row reads: an ordinary array, as in every decoded struct, so that V8 meets one kind. */
  readonly input: number[]
}
/** A row without its types: what the table promises, only here taken on trust. */
interface Run extends Omit<AnyIoctlRow, 'run' | 'abort'> {
  run(file: unknown, input: unknown, caller: Caller, arg: bigint): IoctlResult<unknown>
  abort?(file: unknown, out: unknown, caller: Caller): void
}

/** The calls of one kind of file, extensions included, ready to run. Build it once for each host. */
export class IoctlDispatch {
  /** The kind of file. */
  readonly file: string
  readonly #rows = new Map<number, Ready>()
  #sizedFirst: NrRange | undefined

  /**
   * @param tables the file's own table first, then those that extend it
   * @throws Error when two rows have one number, or a row's struct does not begin with its size
   */
  constructor(tables: readonly IoctlTable[]) {
    this.file = tables[0]?.file ?? ''
    for (const { convention, rows } of tables) {
      this.#sizedFirst = wider(this.#sizedFirst, convention.sizedFirst)
      for (const row of rows) this.#add(row, row.convention ?? convention)
    }
  }

  /** Whether a row answers the number. */
  has(number: number): boolean {
    return this.#rows.has(number)
  }
  /**
   * ioctl(2) on this kind of file.
   * @param file given to the row
   * @param arg third argument, u64
   * @returns the system call's result, not negative
   * @throws UapiError what the call is refused with; its `out` has been written back
   */
  run(file: unknown, caller: Caller, number: number, arg: bigint): number {
    const ready = this.#rows.get(number)
    if (!ready) throw this.#unknown(caller, number, arg)
    if (ready.row.call.struct === undefined) return ready.row.run(file, NOTHING, caller, arg).ret
    return withStruct(ready, file, caller, arg)
  }

  #add(row: AnyIoctlRow, convention: IoctlConvention): void {
    const { name, number, struct, minimum } = row.call
    const taken = this.#rows.get(number)
    if (taken) throw new Error(`${this.file}: ${name} has the number of ${taken.row.call.name}`)
    const { sizeField } = convention
    if (struct && sizeField && (struct.fields[0]?.name !== sizeField || minimum < 4)) {
      throw new Error(`${this.file}: ${name} does not begin with ${sizeField}`)
    }
    this.#rows.set(number, { row, convention, size: struct?.size ?? 0, buffer: undefined })
  }
  #unknown(caller: Caller, number: number, arg: bigint): UapiError {
    const sized = this.#sizedFirst
    const nr = ioctlNr(number)
    if (sized && nr >= sized.first && nr <= sized.last) readUser32(caller, arg, 'ioctl')
    return new UapiError('ENOTTY', 'ioctl', { file: this.file, number })
  }
}

type NrRange = NonNullable<IoctlConvention['sizedFirst']>

/** A table that extends another one's numbers extends the kernel's array of calls: what lies between has no row, but its size is read. */
function wider(a: NrRange | undefined, b: NrRange | undefined): NrRange | undefined {
  if (!a || !b) return a ?? b
  return { first: Math.min(a.first, b.first), last: Math.max(a.last, b.last) }
}

/** What a row without a struct gets. */
const NOTHING: Decoded = { word: () => 0 }

function withStruct(ready: Ready, file: unknown, caller: Caller, arg: bigint): number {
  const buffer = ready.buffer ?? bufferOf(ready.size)
  ready.buffer = undefined
  try {
    const passed = copyIn(ready, buffer, caller, arg)
    return runAndCopyOut(ready, file, caller, arg, buffer, passed)
  } finally {
    ready.buffer = buffer
  }
}

function bufferOf(size: number): Buffer {
  const buffer = structBuffer(size)
  return { ...buffer, input: Array.from(buffer.words) }
}

/** @returns bytes of the struct that was passed: what may be written back */
function copyIn({ row, convention, size }: Ready, { bytes: buffer, words }: Buffer, caller: Caller, arg: Uva): number {
  const { name, minimum } = row.call
  const space = caller.process.addressSpace
  if (convention.sizeField === undefined) {
    if (space.copyIn(arg, buffer, words) < size) throw new UapiError('EFAULT', name, { arg })
    return size
  }
  if (convention.tail === 'ignore') {
    const part = minimum === size ? buffer : buffer.subarray(0, minimum)
    if (space.copyIn(arg, part, words) < minimum) throw new UapiError('EFAULT', name, { arg })
    if (minimum < size) buffer.fill(0, minimum)
    const argsz = (words[0] as number) >>> 0
    if (argsz < minimum) throw new UapiError('EINVAL', name, { argsz, minimum })
    return argsz
  }
  // All of the known struct at once: what is read beyond the caller's size is not looked at.
  const got = space.copyIn(arg, buffer, words)
  if (got < 4) throw new UapiError('EFAULT', name, { arg })
  const passed = (words[0] as number) >>> 0
  if (passed < minimum) throw new UapiError('EINVAL', name, { size: passed, minimum })
  if (passed > size) checkZeroed(caller, arg + BigInt(size), passed - size, name)
  if (got < Math.min(passed, size)) throw new UapiError('EFAULT', name, { arg })
  if (passed < size) buffer.fill(0, passed)
  return passed
}

function runAndCopyOut(ready: Ready, file: unknown, caller: Caller, arg: Uva, buffer: Buffer, passed: number): number {
  const { row } = ready
  for (let i = 0; i < buffer.words.length; i++) buffer.input[i] = buffer.words[i] as number
  const input = (row.call.struct as StructLayout<unknown>).over(buffer.input)
  let result: IoctlResult<unknown>
  try {
    result = row.run(file, input, caller, arg)
  } catch (error) {
    if (
      error instanceof UapiError &&
      error.out !== undefined &&
      !copyOut(ready, caller, arg, buffer, passed, error.out)
    ) {
      throw new UapiError('EFAULT', row.call.name, { arg })
    }
    throw error
  }
  if (result.out !== undefined && !copyOut(ready, caller, arg, buffer, passed, result.out)) {
    row.abort?.(file, result.out, caller)
    throw new UapiError('EFAULT', row.call.name, { arg })
  }
  return result.ret
}

/** The struct goes back, as far as the caller has room for it: members that the row left alone as they were read. */
function copyOut(
  ready: Ready,
  caller: Caller,
  arg: Uva,
  { bytes: whole, view, words }: Buffer,
  passed: number,
  out: unknown,
): boolean {
  ready.row.call.struct?.write(view, 0, out)
  const bytes = Math.min(passed, ready.convention.tail === 'E2BIG' ? ready.size : extent(ready, out as object))
  const part = bytes < ready.size ? whole.subarray(0, bytes) : whole
  const space = caller.process.addressSpace
  if (space.frames.failures.fails(ready.row.call.name, 'copy-out')) return false
  return space.copyOut(arg, part, words) >= part.length
}

/** Where only the minimum was read, members beyond it are written only when the row answers one of them or a later one. */
function extent({ row, size, convention }: Ready, out: object): number {
  const { minimum, struct } = row.call
  if (minimum === size || convention.sizeField === undefined) return size
  let end = minimum
  for (const field of struct?.fields ?? []) {
    if (field.name in out) end = Math.max(end, field.offset + field.size)
  }
  return end
}
