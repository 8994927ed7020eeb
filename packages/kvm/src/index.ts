/** /dev/kvm as far as device assignment needs it. */
export * from './plugin.ts'
export * from './uapi.ts'
