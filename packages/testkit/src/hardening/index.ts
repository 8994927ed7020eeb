/** Failures in turn and hostile calls, over recorded scenarios. */
export { failNth, type FailNthOptions, type FailNthReport } from './fail-nth.ts'
export { type KeptEffect, KEPT_EFFECTS } from './kept-effects.ts'
export { type HostileOptions, type HostileReport, LEAST_SUCCESS, runHostile } from './hostile/run-hostile.ts'
export { type CommandStatistics, Statistics } from './hostile/statistics.ts'
export { recordedErrors } from './hostile/commands.ts'
