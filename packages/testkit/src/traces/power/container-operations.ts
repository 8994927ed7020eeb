/** Calls of a container with a SPAPR back end, as scripts of POWER machines name and print them. */
import { hexText } from '../outcome.ts'
import type { PowerLine, RunPowerLine } from './power-line.ts'

/** A member of a struct as a script gives it. */
interface Given {
  /** As in scripts. */
  readonly key: string
  /** As in traces. */
  readonly shown: string
  readonly offset: number
  readonly width: 4 | 8
  /** Without one it must be given. */
  readonly standard?: string
  /** Numbers by name. */
  readonly names?: Readonly<Record<string, string>>
}
const u32 = (key: string, offset: number, standard?: string, shown = key): Given => ({
  key,
  shown,
  offset,
  width: 4,
  ...(standard !== undefined && { standard }),
})
const u64 = (key: string, offset: number, shown = key): Given => ({ key, shown, offset, width: 8 })

const FLAGS = { none: '0', r: '1', w: '2', rw: '3' }
const mapFlags: Given = { ...u32('flags', 4, 'rw'), names: FLAGS }

/** Numbers of include/uapi/linux/vfio.h VFIO_EEH_PE_*. */
const EEH = {
  disable: '0',
  enable: '1',
  unfreeze_io: '2',
  unfreeze_dma: '3',
  get_state: '4',
  reset_deactivate: '5',
  reset_hot: '6',
  reset_fundamental: '7',
  configure: '8',
  inject_err: '9',
}
const INJECT_ERR = '9'

/** A struct with what the script gives; the rest is `filler`. */
class Filled {
  readonly bytes: Uint8Array
  readonly view: DataView

  constructor(line: PowerLine, size: number, members: readonly Given[], filler = 0) {
    this.bytes = new Uint8Array(size).fill(filler)
    this.view = new DataView(this.bytes.buffer)
    for (const { key, shown, offset, width, standard, names } of members) {
      const text = line.text(key, standard)
      const value = line.process.values.number(names?.[text] ?? text)
      if (width === 8) this.view.setBigUint64(offset, BigInt.asUintN(64, value), true)
      else this.view.setUint32(offset, Number(BigInt.asUintN(32, value)), true)
      line.in[shown] = width === 8 ? hexText(value) : Number(BigInt.asUintN(32, value))
    }
  }
}

/** Runs a call with such a struct. @returns the result, and the struct afterwards */
function run(
  line: PowerLine,
  name: string,
  { bytes }: Filled,
): { readonly ret: number; readonly after: DataView | undefined } {
  const placed = line.process.place(bytes, line.bad)
  return { ret: line.process.ioctl(line.process.values.fd(line.text('fd')), name, placed.arg), after: placed.read() }
}

const plain =
  (name: string, size: number, members: readonly Given[]): RunPowerLine =>
  (line) => {
    line.fd()
    return run(line, name, new Filled(line, size, members)).ret
  }

/** What the kernel left alone in the buffer of GET_INFO. */
const UNTOUCHED = 0xee

const getInfo: RunPowerLine = (line) => {
  line.fd()
  const filled = new Filled(line, 32, [u32('argsz', 0, '32')], UNTOUCHED)
  const { ret, after } = run(line, 'VFIO_IOMMU_SPAPR_TCE_GET_INFO', filled)
  if (!after) return ret
  const [start, size] = [after.getUint32(8, true), after.getUint32(12, true)]
  const pgsizes = after.getBigUint64(16, true)
  Object.assign(line.out, {
    argsz: after.getUint32(0, true),
    flags: after.getUint32(4, true),
    dma32_window_start: hexText(start),
    dma32_window_size: hexText(size),
    ddw:
      pgsizes === 0xeeee_eeee_eeee_eeeen
        ? null
        : {
            pgsizes: hexText(pgsizes),
            max_dynamic_windows_supported: after.getUint32(24, true),
            levels: after.getUint32(28, true),
          },
  })
  line.process.values.set('d32start', BigInt(start))
  line.process.values.set('d32size', BigInt(size))
  return ret
}

/** What stands in start_addr before CREATE. */
const BEFORE_CREATE = 0x5a5a_5a5an

const create: RunPowerLine = (line) => {
  line.fd()
  const filled = new Filled(line, 40, [
    u32('argsz', 0, '40'),
    u32('flags', 4, '0'),
    u32('shift', 8, undefined, 'page_shift'),
    u64('size', 16, 'window_size'),
    u32('levels', 24, '1'),
  ])
  filled.view.setBigUint64(32, BEFORE_CREATE, true)
  const { ret, after } = run(line, 'VFIO_IOMMU_SPAPR_TCE_CREATE', filled)
  const start = after?.getBigUint64(32, true) ?? 0n
  line.out['start_addr'] = hexText(start)
  if (line.has('as')) line.process.values.set(line.text('as'), start)
  return ret
}

const unmap: RunPowerLine = (line) => {
  line.fd()
  const members = [u32('argsz', 0, '24'), u32('flags', 4, '0'), u64('iova', 8), u64('size', 16)]
  const { ret, after } = run(line, 'VFIO_IOMMU_UNMAP_DMA', new Filled(line, 24, members))
  if (after && ret === 0) line.out['size'] = hexText(after.getBigUint64(16, true))
  return ret
}

const eeh: RunPowerLine = (line) => {
  line.fd()
  const op = line.text('op')
  const injects = (EEH[op as keyof typeof EEH] ?? op) === INJECT_ERR
  const error: readonly Given[] = [
    u32('type', 16, '0'),
    u32('func', 20, '0'),
    { ...u64('addr', 24), standard: '0' },
    { ...u64('mask', 32), standard: '0' },
  ]
  const members = [u32('argsz', 0, '40'), u32('flags', 4, '0'), { ...u32('op', 8), names: EEH }]
  return run(line, 'VFIO_EEH_PE_OP', new Filled(line, 40, injects ? [...members, ...error] : members)).ret
}

const registered = [u32('argsz', 0, '24'), u32('flags', 4, '0'), u64('vaddr', 8), u64('size', 16)]

/** Operations that are calls of a container. */
export const CONTAINER_OPERATIONS: Readonly<Record<string, RunPowerLine>> = {
  get_info: getInfo,
  enable: (line) => line.process.ioctl(line.fd(), 'VFIO_IOMMU_ENABLE', 0n),
  disable: (line) => line.process.ioctl(line.fd(), 'VFIO_IOMMU_DISABLE', 0n),
  map: plain('VFIO_IOMMU_MAP_DMA', 32, [
    u32('argsz', 0, '32'),
    mapFlags,
    u64('vaddr', 8),
    u64('iova', 16),
    u64('size', 24),
  ]),
  unmap,
  register: plain('VFIO_IOMMU_SPAPR_REGISTER_MEMORY', 24, registered),
  unregister: plain('VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY', 24, registered),
  create,
  remove: plain('VFIO_IOMMU_SPAPR_TCE_REMOVE', 16, [
    u32('argsz', 0, '16'),
    u32('flags', 4, '0'),
    u64('start', 8, 'start_addr'),
  ]),
  eeh,
}
