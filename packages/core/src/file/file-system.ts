/** Paths: device nodes that packages bring, and sysfs. */
import { UapiError } from '../errno.ts'
import { type Token, token } from '../plugin/token.ts'
import type { Caller } from '../process/process.ts'
import type { SysfsTree } from '../sysfs.ts'
import type { OpenMode } from './fd-table.ts'
import type { FileNode, FileOps } from './file-ops.ts'
import { openSysfs } from './sysfs-file.ts'

const SYSFS = '/sys/'
const READ = 4
const WRITE = 2

/** What processes of one host can open by path. */
export class FileSystem {
  readonly #sysfs: SysfsTree
  readonly #nodes = new Map<string, FileNode>()

  /** @param sysfs what lies below /sys */
  constructor(sysfs: SysfsTree) {
    this.#sysfs = sysfs
  }

  /** Adds a node. @returns takes it away; open files stay open @throws Error when the path is taken */
  add(node: FileNode): () => void {
    if (this.#nodes.has(node.path)) throw new Error(`${node.path} exists`)
    this.#nodes.set(node.path, node)
    return () => this.#nodes.delete(node.path)
  }
  /**
   * open(2).
   * @param how the access the descriptor shall have
   * @throws UapiError ENOENT, EACCES without permission, or what the node answers
   */
  open(caller: Caller, path: string, how: OpenMode): FileOps {
    if (path.startsWith(SYSFS)) return openSysfs(this.#sysfs, caller, path, how)
    const node = this.#find(path)
    if (!node) throw new UapiError('ENOENT', 'open', { path })
    const wanted = (how.read ? READ : 0) | (how.write ? WRITE : 0)
    if (!permitted(caller, node.mode ?? 0o600, wanted)) throw new UapiError('EACCES', 'open', { path })
    return node.open(caller, path, how)
  }
  /** Whether something lies at the path. */
  exists(path: string): boolean {
    if (path.startsWith(SYSFS)) return this.#sysfs.exists(path)
    const node = this.#find(path)
    if (!node) return false
    return node.path === path || (node.names?.().includes(path.slice(node.path.length)) ?? false)
  }
  /** Names in a directory, sorted. @throws UapiError ENOENT */
  list(path: string): readonly string[] {
    if (`${path}/`.startsWith(SYSFS)) return this.#sysfs.list(path)
    const directory = path.endsWith('/') ? path : `${path}/`
    const found = new Set<string>()
    for (const node of this.#nodes.values()) {
      if (node.path === directory) for (const name of node.names?.() ?? []) found.add(name)
      else if (node.path.startsWith(directory)) found.add(node.path.slice(directory.length).split('/')[0] as string)
    }
    if (found.size === 0) throw new UapiError('ENOENT', 'readdir', { path })
    return [...found].toSorted()
  }

  /** The node at the path, else the longest prefix above it. */
  #find(path: string): FileNode | undefined {
    const exact = this.#nodes.get(path)
    if (exact) return exact
    for (let end = path.lastIndexOf('/'); end >= 0; end = path.lastIndexOf('/', end - 1)) {
      const node = this.#nodes.get(path.slice(0, end + 1))
      if (node) return node
      if (end === 0) break
    }
    return undefined
  }
}
/** The file system of this host. */
export const Files: Token<FileSystem> = token('Files')

/** Whether a caller may open something that root owns (fs/namei.c generic_permission); root may do everything. */
export function permitted(caller: Caller, mode: number, wanted: number): boolean {
  const { uid, gid } = caller.process.credentials
  if (uid === 0) return true
  const bits = gid === 0 ? mode >> 3 : mode
  return (bits & wanted) === wanted
}
