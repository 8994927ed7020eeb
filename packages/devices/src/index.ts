/** PCI functions to assign, and parts to make others of. */
export * from './placed.ts'
export * from './capabilities.ts'
export * from './config-builder.ts'
export * from './register-window.ts'
export * from './edu.ts'
export * from './pci-testdev.ts'
export {
  DMA_ENGINE,
  DMA_ENGINE_COMMAND,
  DMA_ENGINE_QUEUE,
  DmaEngine,
  dmaEngine,
  type DmaEngineOptions,
} from './dma-engine.ts'
export * from './no-snoop-engine.ts'
export * from './bridges.ts'
export * from './recorded-function.ts'
export * from './option-rom.ts'
export * from './qemu-masks.ts'
export * from './virtual-function.ts'
export { StandardVga, type StandardVgaOptions } from './vga/standard-vga.ts'
export { mtty } from './mtty.ts'
