/** Operations on the machine and on the process itself: drivers, sysfs, probes, limits, a guest. */
import { Sysfs, UapiError } from '@ioasis/core'
import { openPath } from './file-operations.ts'
import { runWbinvd } from './guest.ts'
import { openDevice } from './open-device.ts'
import type { Operation, RunOperation } from './operation.ts'
import { printDescriptor } from './outcome.ts'
import type { TraceProcess } from './trace-process.ts'
import { word } from './words.ts'

const NOBODY = 65534
const MDEV_PARENTS = '/sys/class/mdev_bus'
const READ_CHUNK = 65536

function readText(process: TraceProcess, path: string): string {
  const fd = openPath(process, path, 'ro')
  try {
    const parts: string[] = []
    const into = new Uint8Array(READ_CHUNK)
    for (let n = process.calls.read(fd, into); n > 0; n = process.calls.read(fd, into)) {
      parts.push(Array.from(into.subarray(0, n), (b) => String.fromCharCode(b)).join(''))
    }
    return parts.join('')
  } finally {
    process.calls.close(fd)
  }
}

function writeText(process: TraceProcess, path: string, text: string): void {
  const fd = openPath(process, path, 'wo')
  try {
    process.calls.write(
      fd,
      Uint8Array.from(text, (c) => c.charCodeAt(0)),
    )
  } finally {
    process.calls.close(fd)
  }
}

/** The `create` file of a type, whichever parent offers it. @throws UapiError ENOENT */
function createFile(process: TraceProcess, type: string): string {
  const sysfs = process.world.host.get(Sysfs)
  const parents = sysfs.exists(MDEV_PARENTS) ? sysfs.list(MDEV_PARENTS) : []
  for (const parent of parents) {
    const path = `${MDEV_PARENTS}/${parent}/mdev_supported_types/${type}/create`
    if (sysfs.exists(path)) return path
  }
  throw new UapiError('ENOENT', 'mdev', { type })
}

const kilobytes = (process: TraceProcess, pages: number): number =>
  (pages * process.process.addressSpace.pageBytes) / 1024

export const MACHINE_OPERATIONS: Readonly<Record<string, RunOperation>> = {
  opendev: ({ line, process, in: inputs, out }) => {
    const alias = word(line, 1)
    inputs['name'] = word(line, 0)
    inputs['dev'] = alias
    const via = process.world.paths.resolve(`cdev:${alias}`) === undefined ? 'group' : 'cdev'
    out['via'] = via
    process.names.bindFd(word(line, 0), openDevice(process, alias, via))
  },
  drv: ({ line, process, in: inputs, out }) => {
    const alias = word(line, 0)
    const driver = word(line, 1)
    inputs['dev'] = alias
    inputs['driver'] = driver
    const bound = process.world.setDriver(alias, driver)
    out['driver'] = process.world.driverOf(alias)
    if (!bound) throw new UapiError('EINVAL', 'driver', { driver })
  },
  alias: ({ line, process, in: inputs, out }) => {
    inputs['name'] = word(line, 0)
    inputs['bdf'] = word(line, 1)
    process.world.paths.nameFunction(word(line, 0), word(line, 1))
    out['driver'] = process.world.driverOf(word(line, 0), 'none')
  },
  mdev: ({ line, process, in: inputs }) => {
    const [name, type, uuid] = [word(line, 0), word(line, 1), word(line, 2)]
    inputs['name'] = name
    inputs['type'] = type
    inputs['uuid'] = uuid
    writeText(process, createFile(process, type), uuid)
    process.world.paths.nameMdev(name, uuid)
  },
  exists: ({ line, process, in: inputs, out }) => {
    inputs['path'] = word(line, 0)
    out['exists'] = process.world.paths.exists(word(line, 0))
  },
  sysfs_r: ({ line, process, in: inputs, out }) => {
    inputs['path'] = word(line, 0)
    // The recordings hold texts without the newlines at their end: debugfs files end in an empty line.
    out['text'] = readText(process, word(line, 0)).replace(/\n+$/, '')
  },
  sysfs_w: ({ line, process, in: inputs }) => {
    const text = line.words.slice(1).join(' ')
    inputs['path'] = word(line, 0)
    inputs['text'] = text
    writeText(process, word(line, 0), text)
  },
  probe: ({ line, process, in: inputs, part }) => {
    const symbol = word(line, part)
    inputs['symbol'] = symbol
    process.world.probes.arm(symbol)
  },
  hits: ({ process, out }) => {
    Object.assign(out, process.world.probes.take())
  },
  env: ({ process, out }) => {
    const { addressSpace } = process.process
    out['memlock_pinned_kb'] = kilobytes(process, addressSpace.pinnedPages)
    out['memlock_locked_kb'] = kilobytes(process, addressSpace.locked.pages)
  },
  rlimit_memlock: ({ line, process, in: inputs }) => {
    const bytes = process.names.count(line.words[0], 'bytes')
    inputs['bytes'] = bytes
    process.process.limits = { ...process.process.limits, memlock: bytes }
  },
  drop_privs: ({ process }) => {
    process.process.credentials = { uid: NOBODY, gid: NOBODY, capabilities: new Set() }
  },
  sleep_ms: ({ line, process, in: inputs }) => {
    const ms = process.names.count(line.words[0], 'ms')
    inputs['ms'] = ms
    process.world.pass(ms)
  },
  note: () => 0,
  kvm_run_wbinvd: (operation: Operation) => {
    const { line, process, in: inputs, out } = operation
    const { number, shown } = process.names.value(word(line, 0))
    inputs['fd'] = printDescriptor(number, shown)
    const { setup, exitReason } = runWbinvd(process, Number(number))
    out['setup'] = setup
    if (exitReason !== undefined) out['exit_reason'] = exitReason
  },
}
