/** A process with a file that answers a table of toy calls. */
import { struct, u32, u64 } from '../c-struct.ts'
import { ERRNO, UapiError } from '../errno.ts'
import { createHost, type Host } from '../plugin/host.ts'
import { Processes, type ProcessOptions } from '../process/process.ts'
import { Client } from './client.ts'
import type { FileOps } from './file-ops.ts'
import { IoctlDispatch } from './ioctl-dispatch.ts'
import type { IoctlTable } from './ioctl-row.ts'

/** A struct of 24 bytes with a size, an input and an output. */
export const Toy = struct('toy', { size: u32, flags: u32, value: u64, out_id: u32, __reserved: u32 })
/** The same for VFIO's way. */
export const ArgToy = struct('arg_toy', { argsz: u32, flags: u32, value: u64, out_id: u32, pad: u32 })

export interface Rig {
  readonly host: Host
  readonly client: Client
  readonly file: FileOps & { readonly log: string[] }
  readonly fd: number
}

/** A process that has a file with the table open. */
export function rig(table: IoctlTable, options: ProcessOptions = {}): Rig {
  const host = createHost()
  const client = new Client(host, host.get(Processes).spawn(options))
  const log: string[] = []
  const dispatch = new IoctlDispatch([table])
  const file: Rig['file'] = {
    log,
    ioctlTables: [table.file],
    ioctl: (caller, number, arg) => dispatch.run(file, caller, number, arg),
    release: () => log.push('release'),
  }
  return { host, client, file, fd: client.adopt(file) }
}

/** The result of a call, negative when it was refused, as the system call returns it. */
export function ret(action: () => number | bigint | undefined | void): string | number {
  try {
    return Number(action() ?? 0)
  } catch (error) {
    if (error instanceof UapiError && error.errno in ERRNO) return error.errno
    throw error
  }
}
