/** The player of hardware cases. */
export * from './case-file.ts'
export { readCaseFile } from './case-reader.ts'
export * from './deviations.ts'
export * from './select.ts'
export { CaseMachine, type AtsAnswer, type CaseUnit, type CaseUnitContext, type MakeCaseUnit } from './case-machine.ts'
export * from './player.ts'
export * from './report.ts'
export * from './mutate.ts'
