/** The failure points of a file's calls: those of the host that their caller runs on. */
import type { FailureKind } from '../failure-points.ts'
import type { Caller } from '../process/process.ts'

/** Passes a point on behalf of who calls. @param what for the message @throws UapiError ENOMEM when it is this one's turn */
export const mayFail = (caller: Caller, what: string, kind: FailureKind = 'object'): void =>
  caller.process.addressSpace.frames.failures.pass(what, kind)
