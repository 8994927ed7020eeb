import type { ErrorRecovery } from '@ioasis/core'
import { VFIO_EEH_PE, VFIO_EEH_PE_OP, type VfioEehPeOp } from '@ioasis/uapi'
import { expect, test } from 'vitest'
import { containerWorld } from './container-world.test-kit.ts'

function world(state = 0) {
  const asked: string[] = []
  const recovery: ErrorRecovery = {
    setOption: (option) => (asked.push(`option ${option}`), 0),
    state: () => state,
    reset: (kind) => (asked.push(`reset ${kind}`), kind === 3 ? -5 : 0),
    configure: () => (asked.push('configure'), 0),
    changeOwner: () => 0,
    inject: (type, func) => (asked.push(`inject ${type} ${func}`), type > 1 ? -34 : 0),
  }
  const { answer, session } = containerWorld({ recovery })
  const run = (op: number, values: Partial<VfioEehPeOp> = {}): unknown => answer(VFIO_EEH_PE_OP, { op, ...values })
  return { asked, run, session }
}

test('each operation reaches the endpoint', () => {
  const { asked, run } = world()
  for (const op of [0, 1, 2, 3, 5, 6, 8]) expect(run(op)).toBe(0)
  expect(asked).toEqual(['option 0', 'option 1', 'option 2', 'option 3', 'reset 0', 'reset 1', 'configure'])
})
test('a state is the result of the call', () => {
  expect([world(0).run(VFIO_EEH_PE.GET_STATE), world(2).run(VFIO_EEH_PE.GET_STATE)]).toEqual([0, 2])
})
test('what the platform refuses is the errno', () => {
  const { run } = world()
  expect([run(7), run(9, { err: { type: 9, func: 0, addr: 0n, mask: 0n } })]).toEqual(['EIO', 'ERANGE'])
})
test('unknown operations, flags, short structs', () => {
  const { run } = world()
  expect([run(10), run(4, { flags: 1 }), run(4, { argsz: 11 }), run(4, { argsz: 12 }), run(9, { argsz: 39 })]).toEqual([
    'EINVAL',
    'EINVAL',
    'EINVAL',
    0,
    'EINVAL',
  ])
})
test('a group that is no endpoint: ENODEV before anything is read', () => {
  expect(containerWorld().answer(VFIO_EEH_PE_OP, { argsz: 0 })).toBe('ENODEV')
})
test('the extension says whether endpoints are frozen at all', () => {
  expect([world().session.checkExtension(5), containerWorld().session.checkExtension(5)]).toEqual([1, 0])
})
