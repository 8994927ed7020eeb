/** Runs an ioctl of a trace. */
import { type AnyIoctlCall, UapiError } from '@ioasis/core'
import type { TraceProcess } from './trace-process.ts'

/** Runs a call; a refusal is its errno. */
export function attempt(
  process: TraceProcess,
  fd: number,
  call: AnyIoctlCall,
  arg: bigint,
): { readonly ret: number; readonly errno: string | null } {
  try {
    return { ret: process.calls.ioctl(fd, call.number, arg), errno: null }
  } catch (error) {
    if (error instanceof UapiError) return { ret: -1, errno: error.errno }
    throw error
  }
}
