/** Plays one ioctl of a trace: with a struct, with a plain argument, or with none. */
import type { AnyIoctlCall } from '@ioasis/core'
import { attempt } from './attempt.ts'
import type { IoctlOperation } from './ioctl-operation.ts'
import { IOCTL_OPERATIONS } from './ioctl-operations.ts'
import { printDescriptor, printInteger, type StepOutcome } from './outcome.ts'
import { storeInteger } from './payload.ts'
import type { ScriptLine } from './script-line.ts'
import { StructCall } from './struct-call.ts'
import type { TraceProcess } from './trace-process.ts'

/** Whether an operation of a trace is an ioctl. */
export const isIoctl = (op: string): boolean => Object.hasOwn(IOCTL_OPERATIONS, op)

/** @throws TraceError for a call no table of the host has */
export function playIoctl(line: ScriptLine, process: TraceProcess): StepOutcome {
  const operation = IOCTL_OPERATIONS[line.op] as IoctlOperation
  const call = process.callNamed(operation.call ?? line.op)
  if (operation.argument === 'struct') return new StructCall(line, operation, call, process).play()
  return plainCall(line, operation, call, process)
}

function plainCall(
  line: ScriptLine,
  operation: IoctlOperation,
  call: AnyIoctlCall,
  process: TraceProcess,
): StepOutcome {
  const { names } = process
  const target = names.value(line.words[0] ?? '-1')
  const printed: Record<string, unknown> = { fd: printDescriptor(target.number, target.shown) }
  const arg = plainArgument(line, operation, process, printed)
  const { ret, errno } = attempt(process, Number(target.number), call, arg)
  if (errno === null) for (const { name } of line.results) names.bindFd(name, ret)
  return { in: printed, ret: errno === null && operation.returnsDescriptor ? 'fd' : ret, errno, out: {} }
}

function plainArgument(
  line: ScriptLine,
  operation: IoctlOperation,
  process: TraceProcess,
  printed: Record<string, unknown>,
): bigint {
  const { names, scratch } = process
  const how = line.keys.get('_arg')
  if (how !== undefined) printed['_arg'] = how
  switch (operation.argument) {
    case 'number': {
      const value = names.number(line.keys.get('arg') ?? '0')
      printed['arg'] = printInteger(value, 4)
      return value
    }
    case 'descriptor': {
      const member = operation.in[0] as string
      const value = names.value(line.keys.get(member) ?? '-1')
      printed[member] = printDescriptor(value.number, value.shown)
      const bytes = new Uint8Array(4)
      storeInteger(bytes, 0, 4, value.number)
      return scratch.place(bytes, how, 4).arg
    }
    case 'text': {
      const member = operation.in[0] as string
      const text = process.text(line.keys.get(member) ?? '')
      printed[member] = text
      return scratch.place(
        Uint8Array.from(`${text}\0`, (c) => c.charCodeAt(0)),
        how,
        text.length + 1,
      ).arg
    }
    case 'none':
    case 'struct':
      break
  }
  return 0n
}
