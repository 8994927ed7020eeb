import { type MigrationState, nextMigrationState, UapiError, type VfioMigration } from '@ioasis/core'
import {
  VFIO_DEVICE_BIND_IOMMUFD,
  VFIO_DEVICE_FEATURE,
  VFIO_DEVICE_FEATURE_FLAG,
  VFIO_DEVICE_STATE,
  VFIO_FEATURE,
} from '@ioasis/uapi'
import { expect, test } from 'vitest'
import { SpaceFile, vfioWorld } from './world.test-kit.ts'

const { GET, SET } = VFIO_DEVICE_FEATURE_FLAG
const { MIGRATION, MIG_DEVICE_STATE, MIG_DATA_SIZE, MIG_PRECOPY_INFOv2 } = VFIO_FEATURE

/** Moves as it is told, and has a file while it copies. */
class Movable implements VfioMigration {
  readonly p2p = true
  state: MigrationState = 'RUNNING'
  released = 0
  set(wanted: MigrationState): ReturnType<VfioMigration['set']> {
    while (this.state !== wanted) this.state = nextMigrationState(this, this.state, wanted)
    return wanted === 'STOP_COPY' ? { file: { release: () => void this.released++ }, name: 'state' } : undefined
  }
  dataSize(): bigint {
    return 60n
  }
}

function bound(migration: VfioMigration = new Movable()) {
  const world = vfioWorld()
  Object.assign(world.add('00:01.0'), { migration })
  const file = world.vmm.open('/dev/vfio/devices/vfio0')
  world.vmm.ioctl(file, VFIO_DEVICE_BIND_IOMMUFD, { iommufd: world.vmm.adopt(new SpaceFile()) })
  const ask = (flags: number, ...words: number[]): string | readonly number[] => {
    const payload = new Uint8Array(new Int32Array(words).buffer)
    const { errno, bytes } = world.vmm.attempt(file, VFIO_DEVICE_FEATURE, { flags }, payload)
    return errno ?? [...new Int32Array(bytes.slice(8).buffer)]
  }
  return { ...world, file, ask, movable: migration as Movable }
}

test('tells what the device can, where it is, and how much there would be to copy', () => {
  const { ask } = bound()
  expect([ask(GET | MIGRATION, 0, 0), ask(GET | MIG_DEVICE_STATE, 9, 9), ask(GET | MIG_DATA_SIZE, 0, 0)]).toEqual([
    [3, 0],
    [VFIO_DEVICE_STATE.RUNNING, -1],
    [60, 0],
  ])
})
test('a state that has data gives its file a descriptor, others none', () => {
  const { ask, vmm, movable } = bound()
  const [state, fd] = ask(SET | MIG_DEVICE_STATE, VFIO_DEVICE_STATE.STOP_COPY, 0) as number[]
  expect([state, movable.state]).toEqual([VFIO_DEVICE_STATE.STOP_COPY, 'STOP_COPY'])
  expect(ask(SET | MIG_DEVICE_STATE, VFIO_DEVICE_STATE.STOP, 5)).toEqual([VFIO_DEVICE_STATE.STOP, -1])
  vmm.close(fd as number)
  expect(movable.released).toBe(1)
})
test('a refused state says that there is no file', () => {
  const { vmm, file, ask } = bound()
  expect([ask(SET | MIG_DEVICE_STATE, 99, 0), ask(SET | MIG_DEVICE_STATE, VFIO_DEVICE_STATE.PRE_COPY, 0)]).toEqual([
    'EINVAL',
    'EINVAL',
  ])
  const payload = new Uint8Array(8)
  payload[0] = 99
  const { bytes } = vmm.attempt(file, VFIO_DEVICE_FEATURE, { flags: SET | MIG_DEVICE_STATE }, payload)
  expect(Array.from(bytes.subarray(8))).toEqual([99, 0, 0, 0, 255, 255, 255, 255])
})
test('a file that cannot be told of is released, and no descriptor is left', () => {
  const { vmm, file, movable } = bound()
  const uva = vmm.mmap({ bytes: 4096 })
  const words = [16, SET | MIG_DEVICE_STATE, VFIO_DEVICE_STATE.STOP_COPY, 0]
  vmm.poke(uva, new Uint8Array(new Uint32Array(words).buffer))
  vmm.process.addressSpace.protect(uva, 4096, { read: true, write: false })
  const fds = vmm.fds.all.length
  expect(() => vmm.ioctl(file, VFIO_DEVICE_FEATURE.number, uva)).toThrow('EFAULT')
  expect([movable.released, vmm.fds.all.length, movable.state]).toEqual([1, fds, 'STOP_COPY'])
})
const refuse = (): never => {
  throw new UapiError('EINVAL', 'set')
}
test('the second form of data is for devices that are copied while they run', () => {
  const told: string[] = []
  const state: MigrationState = 'RUNNING'
  const running = { preCopy: true, state, set: refuse, dataSize: () => 0n, usePrecopyInfo2: () => void told.push('v2') }
  expect([bound().ask(SET | MIG_PRECOPY_INFOv2), bound(running).ask(SET | MIG_PRECOPY_INFOv2), told]).toEqual([
    'EINVAL',
    [],
    ['v2'],
  ])
})
