import { expect, test } from 'vitest'
import { type FailurePoints, Failures } from '../failure-points.ts'
import { createHost } from '../plugin/host.ts'
import { type Caller, Processes } from '../process/process.ts'
import { mayFail } from './may-fail.ts'
import { ret } from './rig.test-kit.ts'

const setUp = (): { failures: FailurePoints; caller: Caller } => {
  const host = createHost()
  return { failures: host.get(Failures), caller: { process: host.get(Processes).spawn() } }
}

test('what fails are the points of the host that the caller runs on', () => {
  const [host, other] = [setUp(), setUp()]
  host.failures.arm(1, ['queue'])
  expect([
    ret(() => mayFail(other.caller, 'slot', 'queue')),
    ret(() => mayFail(host.caller, 'object')),
    ret(() => mayFail(host.caller, 'slot', 'queue')),
  ]).toEqual([0, 0, 'ENOMEM'])
  expect(host.failures.disarm()).toEqual({ kind: 'queue', what: 'slot' })
})
