/** /sys: a tree of directories, attributes and links (Documentation/filesystems/sysfs.rst). */
import { UapiError } from './errno.ts'
import { type Token, token } from './plugin/token.ts'
import type { Caller } from './process/process.ts'

/** An attribute. Without `show` it cannot be read, without `store` not be written. */
export interface SysfsAttribute {
  /** The whole content; text ends in a newline as the kernel prints it. Binary attributes (`config`) give bytes. */
  show?(): string | Uint8Array
  /**
   * @param text what was written, the newline of `echo` included
   * @param caller absent: the kernel itself, or a test
   * @throws UapiError what write(2) returns
   */
  store?(text: string, caller?: Caller): void
  /**
   * A binary attribute whose place counts: writes from `offset` on, as far as it reaches. In place of `store`.
   * @returns bytes written
   */
  storeAt?(offset: number, from: Uint8Array, caller?: Caller): number
}

type Directory = Map<string, Entry>
type Entry =
  | { readonly kind: 'directory'; readonly entries: Directory }
  | { readonly kind: 'file'; readonly attribute: SysfsAttribute }
  | { readonly kind: 'link'; readonly target: string | (() => string | undefined) }

/** Links followed in one path before ELOOP, as MAXSYMLINKS of include/linux/namei.h. */
const MAX_LINKS = 40

/** The sysfs of one host. All paths are absolute, `/sys/...`. */
export class SysfsTree {
  readonly #root: Entry & { kind: 'directory' } = { kind: 'directory', entries: new Map() }

  /** Makes a directory and those above it; one that exists is left as it is. @throws UapiError ENOTDIR */
  addDirectory(path: string): void {
    this.#directory(path)
  }
  /** Adds an attribute, and the directories above it. @throws UapiError EEXIST, ENOTDIR */
  addFile(path: string, attribute: SysfsAttribute): void {
    this.#add(path, { kind: 'file', attribute })
  }
  /**
   * Adds a symbolic link, and the directories above it.
   * @param target absolute path; it may come later or go earlier, the link dangles meanwhile. A function is asked at each
   * look, and answers undefined while there is no link
   * @throws UapiError EEXIST, ENOTDIR
   */
  addLink(path: string, target: string | (() => string | undefined)): void {
    this.#add(path, { kind: 'link', target })
  }
  /** Removes an attribute, a link, or a directory with all below it. Harmless when there is none. */
  remove(path: string): void {
    const above = parts(path)
    const last = above.pop()
    let entries = this.#root.entries
    for (const name of above) {
      const next = entries.get(name)
      if (next?.kind !== 'directory') return
      entries = next.entries
    }
    if (last !== undefined) entries.delete(last)
  }

  /** Whether the path leads to something, links followed. */
  exists(path: string): boolean {
    return this.#walk(path, true) !== undefined
  }
  /** Whether something was added at this very path, a link without a target included. No link in the path is followed. */
  has(path: string): boolean {
    let at: Entry | undefined = this.#root
    for (const name of parts(path)) at = at?.kind === 'directory' ? at.entries.get(name) : undefined
    return at !== undefined
  }
  /** What lies at the path itself: a link at its end is not followed. */
  kindOf(path: string): Entry['kind'] | undefined {
    return this.#walk(path, false)?.entry.kind
  }
  /** The path without links. @throws UapiError ENOENT, ELOOP */
  resolve(path: string): string {
    return `/${this.#find('realpath', path).path.join('/')}`
  }
  /** Names in a directory, sorted. @throws UapiError ENOENT, ENOTDIR */
  list(path: string): readonly string[] {
    const { entry } = this.#find('readdir', path)
    if (entry.kind !== 'directory') throw new UapiError('ENOTDIR', 'readdir', { path })
    const present = [...entry.entries].filter(([, e]) => e.kind !== 'link' || targetOf(e) !== undefined)
    return present.map(([name]) => name).toSorted()
  }
  /** Reads an attribute as text. @throws UapiError ENOENT, EISDIR, EACCES without `show`, or what `show` throws */
  read(path: string): string {
    const content = this.#show(path)
    return typeof content === 'string' ? content : latin1(content)
  }
  /** Reads an attribute as bytes. @throws UapiError as `read` */
  readBytes(path: string): Uint8Array {
    const content = this.#show(path)
    return typeof content === 'string' ? Uint8Array.from(content, (c) => c.charCodeAt(0)) : content
  }
  /** The attribute at a path. @param operation for the message @throws UapiError ENOENT, EISDIR */
  attribute(path: string, operation: string): SysfsAttribute {
    const { entry } = this.#find(operation, path)
    if (entry.kind !== 'file') throw new UapiError('EISDIR', operation, { path })
    return entry.attribute
  }
  /** Writes an attribute. @throws UapiError ENOENT, EISDIR, EACCES without `store`, or what `store` throws */
  write(path: string, text: string, caller?: Caller): void {
    const attribute = this.attribute(path, 'open')
    if (attribute.storeAt)
      return void attribute.storeAt(
        0,
        Uint8Array.from(text, (c) => c.charCodeAt(0)),
        caller,
      )
    if (!attribute.store) throw new UapiError('EACCES', 'open', { path })
    attribute.store(text, caller)
  }
  /** The text of a link, relative to its directory as the kernel makes it. @throws UapiError ENOENT, EINVAL for another kind */
  readLink(path: string): string {
    const found = this.#walk(path, false)
    if (!found) throw new UapiError('ENOENT', 'readlink', { path })
    if (found.entry.kind !== 'link') throw new UapiError('EINVAL', 'readlink', { path })
    const from = found.path.slice(0, -1)
    const to = parts(targetOf(found.entry) ?? '')
    const common = from.findIndex((name, i) => to[i] !== name)
    const same = common < 0 ? from.length : common
    return [...from.slice(same).map(() => '..'), ...to.slice(same)].join('/')
  }

  #show(path: string): string | Uint8Array {
    const attribute = this.attribute(path, 'open')
    if (!attribute.show) throw new UapiError('EACCES', 'open', { path })
    return attribute.show()
  }
  #add(path: string, entry: Entry): void {
    const above = parts(path)
    const name = above.pop()
    const { entries } = this.#directory(above.join('/'))
    if (name === undefined || entries.has(name)) throw new UapiError('EEXIST', 'sysfs', { path })
    entries.set(name, entry)
  }
  #directory(path: string): Entry & { kind: 'directory' } {
    let at = this.#root
    for (const name of parts(path)) {
      let next = at.entries.get(name)
      if (!next) at.entries.set(name, (next = { kind: 'directory', entries: new Map() }))
      if (next.kind !== 'directory') throw new UapiError('ENOTDIR', 'sysfs', { path })
      at = next
    }
    return at
  }
  #find(operation: string, path: string): { readonly entry: Entry; readonly path: readonly string[] } {
    const found = this.#walk(path, true)
    if (!found) throw new UapiError('ENOENT', operation, { path })
    return found
  }
  #walk(path: string, follow: boolean): { readonly entry: Entry; readonly path: readonly string[] } | undefined {
    let todo = names(path)
    let way: string[] = []
    const passed: Entry[] = [this.#root]
    for (let links = 0; ;) {
      const entry = passed[way.length] as Entry
      const name = todo.shift()
      if (name === undefined) return { entry, path: way }
      if (entry.kind !== 'directory') return undefined
      if (name === '..') {
        way.pop()
        continue
      }
      const next = entry.entries.get(name)
      const target = next?.kind === 'link' ? targetOf(next) : ''
      if (!next || target === undefined) return undefined
      if (next.kind === 'link' && (follow || todo.length > 0)) {
        if (++links > MAX_LINKS) throw new UapiError('ELOOP', 'path', { path })
        todo = parts(target).concat(todo)
        way = []
      } else {
        way.push(name)
        passed[way.length] = next
      }
    }
  }
}

/** The sysfs of this host. */
export const Sysfs: Token<SysfsTree> = token('Sysfs')

const targetOf = ({ target }: { readonly target: string | (() => string | undefined) }): string | undefined =>
  typeof target === 'string' ? target : target()

const names = (path: string): string[] => path.split('/').filter((name) => name !== '' && name !== '.')

/** Names along a path without links, `..` taken out. */
function parts(path: string): string[] {
  const kept: string[] = []
  for (const name of names(path)) {
    if (name === '..') kept.pop()
    else kept.push(name)
  }
  return kept
}

/** Bytes as the text that has them as its character codes: sysfs text is ASCII, and a bare JavaScript realm has no TextDecoder. */
const latin1 = (bytes: Uint8Array): string => Array.from(bytes, (b) => String.fromCharCode(b)).join('')
