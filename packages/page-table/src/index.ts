/** Driver-side radix page tables: one map, one unmap, one lookup for every format. */
export * from './flush-plan.ts'
export * from './format.ts'
export * from './formats/vtdss.ts'
export type { LeafVisitor } from './lookup.ts'
export * from './page-table.ts'
export type { TableMemory, TablePages } from './tables.ts'
