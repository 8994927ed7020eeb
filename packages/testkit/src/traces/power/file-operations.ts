/** Files, groups and containers of scripts of POWER machines, and the machine around them. */
import { Drivers, type Errno, Sysfs, UapiError } from '@ioasis/core'
import type { PowerLine, RunPowerLine } from './power-line.ts'

const TYPES: Readonly<Record<string, string>> = { v1: '2', v2: '7' }
const VIABLE = 1
const CONTAINER_SET = 2

/** A struct of two words: argsz and flags. */
function status(line: PowerLine): number {
  const fd = line.fd()
  const bytes = new Uint8Array(8)
  const argsz = line.count('argsz', '8')
  line.in['argsz'] = argsz
  new DataView(bytes.buffer).setUint32(0, argsz, true)
  const placed = line.process.place(bytes, line.bad)
  const ret = line.process.ioctl(fd, 'VFIO_GROUP_GET_STATUS', placed.arg)
  const flags = placed.read()?.getUint32(4, true) ?? 0
  line.out['flags'] = flags
  line.out['viable'] = (flags & VIABLE) !== 0
  line.out['container_set'] = (flags & CONTAINER_SET) !== 0
  return ret
}

function open(line: PowerLine): number {
  const what = line.text('what')
  line.in['what'] = what
  const { calls, world } = line.process
  const path =
    what === 'container' ? '/dev/vfio/vfio' : what === 'group' ? world.paths.resolve(`group:${line.device()}`) : what
  if (path === undefined) throw new UapiError('ENOENT', 'open', { what })
  line.names(calls.open(path))
  return 0
}

const checkAll: RunPowerLine = (line) => {
  const fd = line.fd()
  const to = line.count('to')
  line.in['from'] = 0
  line.in['to'] = to
  line.out['ext'] = Object.fromEntries(
    Array.from({ length: to + 1 }, (_, extension) => [String(extension), check(line, fd, extension)]),
  )
}
function check(line: PowerLine, fd: number, extension: number): number | Errno {
  try {
    return line.process.ioctl(fd, 'VFIO_CHECK_EXTENSION', BigInt(extension))
  } catch (error) {
    if (error instanceof UapiError) return error.errno
    throw error
  }
}

function setContainer(line: PowerLine): number {
  const group = line.fd()
  const container = line.fd('container')
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setInt32(0, container, true)
  return line.process.ioctl(group, 'VFIO_GROUP_SET_CONTAINER', line.process.place(bytes, line.bad).arg)
}

function deviceFd(line: PowerLine): number {
  const group = line.fd()
  const name = line.process.world.paths.bdf(line.device())
  const text = Uint8Array.from(`${name}\0`, (c) => c.charCodeAt(0))
  line.names(line.process.ioctl(group, 'VFIO_GROUP_GET_DEVICE_FD', line.process.place(text, false).arg))
  return 0
}

/** driver_override, then the driver's `bind`. */
const bind: RunPowerLine = (line) => {
  const { world } = line.process
  const fn = world.functionOf(line.device())
  const driver = line.text('driver', '')
  if (driver !== '') line.in['driver'] = driver
  const drivers = world.host.get(Drivers)
  drivers.setOverride(fn, driver === '' ? undefined : driver)
  drivers.bind(driver, fn)
}
/** The `unbind` of the driver it has. */
const unbind: RunPowerLine = (line) => {
  const { world } = line.process
  const fn = world.functionOf(line.device())
  const drivers = world.host.get(Drivers)
  const bound = drivers.driverOf(fn)
  if (!bound) throw new UapiError('ENOENT', 'unbind', { fn: fn.name })
  drivers.unbind(bound.name, fn)
}
const driverOf: RunPowerLine = (line) => {
  const driver = line.process.world.driverOf(line.device())
  line.out['driver'] = driver === 'none' ? null : driver
}

const insmod: RunPowerLine = (line) => {
  const path = line.text('path')
  line.in['path'] = path
  const modules = line.process.world.modules
  if (!modules?.has(path)) throw new UapiError('ENOENT', 'insmod', { path })
  if (!line.process.names.load(path)) throw new UapiError('EEXIST', 'insmod', { path })
  modules.get(path)?.()
}

/** A plain call by its number; `argsz`: with a zeroed struct of which only the size is told. */
const ioctl: RunPowerLine = (line) => {
  const fd = line.fd()
  const nr = line.count('nr')
  const arg = line.number('arg', '0')
  line.in['nr'] = nr
  line.in['arg'] = `0x${arg.toString(16)}`
  let pointer = arg
  if (line.has('argsz')) {
    const bytes = new Uint8Array(64)
    new DataView(bytes.buffer).setUint32(0, line.count('argsz'), true)
    pointer = line.process.place(bytes, line.bad).arg
  }
  const first = line.process.call('VFIO_GET_API_VERSION').number
  return line.process.calls.ioctl(fd, first + nr, pointer)
}

const writeSys: RunPowerLine = (line) => {
  const path = line.text('path')
  const value = line.text('value')
  line.in['path'] = path
  line.in['value'] = value
  const { world } = line.process
  const setting = world.settable?.get(path)
  if (setting) setting(value)
  else if (path.startsWith('/sys/') && world.host.get(Sysfs).exists(path)) world.host.get(Sysfs).write(path, value)
  else throw new UapiError('ENOENT', 'open', { path })
}

/** Operations that are about files and the machine. */
export const FILE_OPERATIONS: Readonly<Record<string, RunPowerLine>> = {
  open,
  close: (line) => {
    line.process.calls.close(line.fd())
  },
  api_version: (line) => line.process.ioctl(line.fd(), 'VFIO_GET_API_VERSION', 0n),
  check_ext: (line) => {
    const fd = line.fd()
    const extension = line.number('ext')
    line.in['ext'] = Number(extension)
    return line.process.ioctl(fd, 'VFIO_CHECK_EXTENSION', extension)
  },
  check_ext_all: checkAll,
  set_container: setContainer,
  unset_container: (line) => line.process.ioctl(line.fd(), 'VFIO_GROUP_UNSET_CONTAINER', 0n),
  group_status: status,
  device_fd: deviceFd,
  set_iommu: (line) => {
    const fd = line.fd()
    const type = line.text('type')
    const number = line.process.values.number(TYPES[type] ?? type)
    line.in['type'] = Number(number)
    return line.process.ioctl(fd, 'VFIO_SET_IOMMU', number)
  },
  bind,
  unbind,
  driver_of: driverOf,
  insmod,
  ioctl,
  write_sys: writeSys,
  sleep: (line) => {
    line.process.world.pass(line.count('ms'))
  },
}
