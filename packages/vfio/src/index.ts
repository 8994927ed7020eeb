/** VFIO's files: devices parked until bound, groups, containers, type1. */
export { type Binding } from './binding.ts'
export { Container } from './container.ts'
export { VfioDevice } from './device.ts'
export { DeviceFile } from './device-file.ts'
export { GroupFile } from './group-file.ts'
export { VfioGroup } from './group.ts'
export { Vfio, vfio } from './plugin.ts'
export { VfioRegistry } from './registry.ts'
