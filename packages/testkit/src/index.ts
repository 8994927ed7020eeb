/** Players, audit and reference models: what also runs outside a test runner. The kits, which need vitest, are `@ioasis/testkit/kits`. */
export * from './hwcases/index.ts'
export * from './traces/index.ts'
export * from './hardening/index.ts'
export * from './audit/audit.ts'
export * from './flat-domain.ts'
export * from './flat-host.ts'
export * from './random-source.ts'
