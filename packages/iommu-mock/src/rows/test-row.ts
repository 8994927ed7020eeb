/** What every sub-operation of IOMMU_TEST is made of, and how their union is taken apart. */
import type { Caller, Decoded, ObjectContext } from '@ioasis/core'
import type { Frames, HostMemory } from '@ioasis/core'
import type { MockIommu } from '../driver/mock-iommu.ts'
import { IOMMU_TEST_CMD, type IommuTestCmd, type TestCall } from '../spec/test-command.ts'

/** What the sub-operations act on. */
export interface TestParts {
  readonly mock: MockIommu
  readonly memory: HostMemory
  readonly frames: Frames
}

/** One sub-operation. */
export interface TestRow<T> {
  readonly call: TestCall<T>
  /** @returns members to write back; a number: what the call returns, nothing is written; nothing: 0 */
  run(objects: ObjectContext, input: T, caller: Caller): Partial<T> | number | void
  /** Undoes `run` when its result cannot be written back. @param input with what `run` answered */
  abort?(objects: ObjectContext, input: T, caller: Caller): void
}
/** A sub-operation of which the arm is not known here. */
export interface AnyTestRow {
  readonly call: TestCall<never>
  run(objects: ObjectContext, input: never, caller: Caller): object | number | void
  abort?(objects: ObjectContext, input: never, caller: Caller): void
}

/** Checks a row's types; the result is put beside others. */
export const testRow = <T>(row: TestRow<T>): AnyTestRow => row as unknown as AnyTestRow

const WORDS = 18

/** The bytes that were passed. */
export function commandBytes(input: Decoded): Uint8Array {
  const words = Int32Array.from({ length: WORDS }, (_, i) => input.word(i * 4))
  return new Uint8Array(words.buffer)
}
/** The union's words with some members of an arm changed. */
export function armOf<T>(call: TestCall<T>, bytes: Uint8Array, members: Partial<T>): IommuTestCmd['arm'] {
  const changed = Uint8Array.from(bytes)
  call.struct?.encode(members, changed)
  return IOMMU_TEST_CMD.struct?.decode(changed).arm ?? []
}
