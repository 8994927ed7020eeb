/** eventfd(2) as a file: `EventFd` itself answers what an eventfd answers. */
import { UapiError } from '../errno.ts'
import type { Caller } from '../process/process.ts'
import { EventFd } from '../wait.ts'
import { fileAt } from './fd-table.ts'

/**
 * The event counter behind a descriptor of the caller (fs/eventfd.c eventfd_ctx_fdget). It may be signalled for as long as
 * somebody keeps it, even when all descriptors are closed.
 * @throws UapiError EBADF for a number that stands for nothing, EINVAL for a file of another kind
 */
export function eventAt(caller: Caller, fd: number): EventFd {
  const file = fileAt(caller, fd)
  if (!(file instanceof EventFd)) throw new UapiError('EINVAL', 'eventfd', { fd })
  return file
}
