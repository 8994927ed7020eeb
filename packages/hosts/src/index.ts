/** Ready hosts: presets, recorded machines, lspci dumps. */
export * from './presets.ts'
export * from './lab.ts'
export * from './machine-description.ts'
export { describeMachine, parseMachineFile, type MachineFile, type MachineFileDevice } from './machine-file.ts'
export { parseLspci } from './lspci.ts'
export { recordedMemory, recordedModel, type RecordedOptions, recordedPlugins } from './recorded-machine.ts'
export * from './topology-only.ts'
export * from './firmware.ts'
