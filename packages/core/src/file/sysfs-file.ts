/** An open attribute of sysfs (fs/kernfs/file.c kernfs_fop_open, fs/sysfs/file.c). */
import { UapiError } from '../errno.ts'
import type { Caller } from '../process/process.ts'
import type { SysfsTree } from '../sysfs.ts'
import type { OpenMode } from './fd-table.ts'
import type { FileOps } from './file-ops.ts'

/** One write hands an attribute at most a page; the smallest page any kernel has. */
const WRITE_LIMIT = 4096

/**
 * Opens an attribute. Its content is made at the first read and kept while it is read on; reading from 0 makes it again.
 * @throws UapiError ENOENT, EISDIR; EACCES for what the attribute has not, or only root may do
 */
export function openSysfs(tree: SysfsTree, caller: Caller, path: string, how: OpenMode): FileOps {
  const attribute = tree.attribute(path, 'open')
  const root = caller.process.credentials.uid === 0
  if ((how.read && !attribute.show) || (how.write && ((!attribute.store && !attribute.storeAt) || !root)))
    throw new UapiError('EACCES', 'open', { path })
  let content: Uint8Array | undefined
  return {
    pread: (_caller, offset, into) => {
      if (offset === 0n || !content) content = tree.readBytes(path)
      const from = Math.min(Number(offset), content.length)
      const part = content.subarray(from, from + into.length)
      into.set(part)
      return part.length
    },
    pwrite: (writer, offset, from) => {
      const part = from.subarray(0, WRITE_LIMIT)
      if (attribute.storeAt) return attribute.storeAt(Number(offset), part, writer)
      tree.write(path, Array.from(part, (byte) => String.fromCharCode(byte)).join(''), writer)
      return part.length
    },
    release: () => {},
  }
}
