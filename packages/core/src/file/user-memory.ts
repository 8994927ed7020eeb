/** What a file's calls read and write at addresses inside their structs: all or EFAULT. */
import type { Uva } from '../address.ts'
import { UapiError } from '../errno.ts'
import type { Caller } from '../process/process.ts'

/**
 * copy_from_user() for a call.
 * @param bytes how many
 * @param operation for the message
 * @throws UapiError EFAULT when not all of them can be read
 */
export function readUser(caller: Caller, uva: Uva, bytes: number, operation: string): Uint8Array {
  const into = new Uint8Array(bytes)
  if (caller.process.addressSpace.copyIn(uva, into) < bytes) throw new UapiError('EFAULT', operation, { uva, bytes })
  return into
}

/**
 * copy_to_user() for a call. Bytes before the one that cannot be written are written.
 * @throws UapiError EFAULT when not all of them can be written
 */
export function writeUser(caller: Caller, uva: Uva, from: Uint8Array, operation: string): void {
  const space = caller.process.addressSpace
  if (space.frames.failures.fails(operation, 'copy-out') || space.copyOut(uva, from) < from.length) {
    throw new UapiError('EFAULT', operation, { uva, bytes: from.length })
  }
}

/**
 * check_zeroed_user(): in order, so that a byte that is not zero counts before one that cannot be read.
 * @throws UapiError E2BIG, EFAULT
 */
export function checkZeroed(caller: Caller, from: Uva, bytes: number, operation: string): void {
  const space = caller.process.addressSpace
  const chunk = new Uint8Array(Math.min(bytes, 4096))
  for (let done = 0; done < bytes;) {
    const wanted = Math.min(chunk.length, bytes - done)
    const part = wanted === chunk.length ? chunk : chunk.subarray(0, wanted)
    const got = space.copyIn(from + BigInt(done), part)
    for (let i = 0; i < got; i++) if (part[i] !== 0) throw new UapiError('E2BIG', operation, { at: done + i })
    if (got < wanted) throw new UapiError('EFAULT', operation, { uva: from + BigInt(done + got) })
    done += wanted
  }
}

/** get_user() of a `__u32`. @throws UapiError EFAULT */
export function readUser32(caller: Caller, uva: Uva, operation: string): number {
  const b = readUser(caller, uva, 4, operation)
  return ((b[0] as number) | ((b[1] as number) << 8) | ((b[2] as number) << 16) | ((b[3] as number) << 24)) >>> 0
}

/**
 * The text at a user address, up to its zero byte; each character is one byte.
 * @param limit bytes, the zero included
 * @throws UapiError EFAULT, EINVAL when there is no zero byte within the limit
 */
export function readUserText(caller: Caller, uva: Uva, limit: number, operation: string): string {
  const one = new Uint8Array(1)
  let text = ''
  for (let at = 0; at < limit; at++) {
    if (caller.process.addressSpace.copyIn(uva + BigInt(at), one) < 1) throw new UapiError('EFAULT', operation, { uva })
    if (one[0] === 0) return text
    text += String.fromCharCode(one[0] as number)
  }
  throw new UapiError('EINVAL', operation, { uva, limit })
}
