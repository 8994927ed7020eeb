/** /dev/null and /dev/zero: on every Linux host. drivers/char/mem.c. */
import {
  FileNode,
  type Frames,
  type MmapRequest,
  type Mapping,
  type Plugin,
  SharedPages,
  UserFrames,
} from '@ioasis/core'

/** A plug-in with the two. */
export const memoryDevices = (): Plugin => ({
  name: 'memory devices',
  contract: 1,
  needs: [UserFrames],
  provides: [FileNode],
  setup: (host) => {
    const frames = host.get(UserFrames)
    host.provide(FileNode, { path: '/dev/null', mode: 0o666, open: () => ({ read: () => 0, write, release }) })
    const zero = {
      read: zeros,
      write,
      release,
      mmap: (_caller: unknown, request: MmapRequest) => fresh(frames, request),
    }
    host.provide(FileNode, { path: '/dev/zero', mode: 0o666, open: () => zero })
  },
})

const write = (_caller: unknown, from: Uint8Array): number => from.length
const release = (): void => undefined

function zeros(_caller: unknown, into: Uint8Array): number {
  into.fill(0)
  return into.length
}

/** Each mapping is new memory, which lives as long as it is mapped. */
function fresh(frames: Frames, { bytes }: MmapRequest): Mapping {
  const object = new SharedPages(frames, { name: '/dev/zero', bytes: Number(bytes) })
  // Nobody but the mapping holds it.
  object.release()
  return { kind: 'pages', object, firstPage: 0 }
}
