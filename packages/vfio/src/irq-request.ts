/** Checks and decodes VFIO_DEVICE_SET_IRQS. drivers/vfio/vfio_main.c vfio_set_irqs_validate_and_prepare. */
import { type Caller, eventAt, readUser, UapiError, type VfioIrqRequest, type VfioSession } from '@ioasis/core'
import {
  VFIO_IRQ_SET,
  VFIO_IRQ_SET_ACTION_TYPE_MASK,
  VFIO_IRQ_SET_DATA_TYPE_MASK,
  type VfioIrqSet,
  vfioIrqSet,
} from '@ioasis/uapi'

const U32_MAX = 0xffff_ffff
const BYTES: ReadonlyMap<number, number> = new Map<number, number>([
  [VFIO_IRQ_SET.DATA_NONE, 0],
  [VFIO_IRQ_SET.DATA_BOOL, 1],
  [VFIO_IRQ_SET.DATA_EVENTFD, 4],
])
const ACTIONS: ReadonlyMap<number, VfioIrqRequest['action']> = new Map<number, VfioIrqRequest['action']>([
  [VFIO_IRQ_SET.ACTION_MASK, 'mask'],
  [VFIO_IRQ_SET.ACTION_UNMASK, 'unmask'],
  [VFIO_IRQ_SET.ACTION_TRIGGER, 'trigger'],
])

/** @throws UapiError EINVAL for what the struct must not say, EFAULT */
export function irqRequest(session: VfioSession, set: VfioIrqSet, caller: Caller, arg: bigint): VfioIrqRequest {
  const { argsz, flags, index, start, count } = set
  const refuse = (): UapiError => new UapiError('EINVAL', 'VFIO_DEVICE_SET_IRQS', { argsz, flags, index, start, count })
  const known = VFIO_IRQ_SET_DATA_TYPE_MASK | VFIO_IRQ_SET_ACTION_TYPE_MASK
  if (index >= session.info.irqs || count >= U32_MAX - start || flags & ~known) throw refuse()
  const available = session.irqCount(index)
  if (start >= available || start + count > available) throw refuse()
  const bytes = BYTES.get(flags & VFIO_IRQ_SET_DATA_TYPE_MASK)
  if (bytes === undefined || argsz - vfioIrqSet.size < count * bytes) throw refuse()
  const data = readUser(caller, arg + BigInt(vfioIrqSet.size), count * bytes, 'VFIO_DEVICE_SET_IRQS')
  const action = ACTIONS.get(flags & VFIO_IRQ_SET_ACTION_TYPE_MASK)
  return { index, start, count, action, data: decode(bytes, data, caller) }
}

function decode(bytes: number, data: Uint8Array, caller: Caller): VfioIrqRequest['data'] {
  if (bytes === 0) return { kind: 'none' }
  if (bytes === 1) return { kind: 'bool', values: Array.from(data, (byte) => byte !== 0) }
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength)
  const fds = Array.from({ length: data.length / 4 }, (_, i) => view.getInt32(4 * i, true))
  return {
    kind: 'eventfd',
    fds,
    event: (i) => {
      const fd = fds[i] as number
      return fd < 0 ? undefined : eventAt(caller, fd)
    },
  }
}
