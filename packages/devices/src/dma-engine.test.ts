import { expect, test } from 'vitest'
import { Bus, DMA, type IommuUnit, type Plugin } from '@ioasis/core'
import {
  DMA_ENGINE,
  DMA_ENGINE_COMMAND,
  DMA_ENGINE_QUEUE,
  type DmaEngine,
  dmaEngine,
  type DmaEngineOptions,
} from './dma-engine.ts'
import { Rig } from './rig.test-kit.ts'

const AT = '00:04.0'
const machine = (options: DmaEngineOptions = {}): Rig => {
  const rig = new Rig([dmaEngine({ at: AT, addresses: { 0: 0xfe90_0000 }, ...options })])
  rig.enable(AT)
  return rig
}
const queue = (rig: Rig, iova: bigint, length: number, command: number, offset = 0): void => {
  rig.store(AT, DMA_ENGINE.IOVA_LO, iova, 8)
  rig.store(AT, DMA_ENGINE.LENGTH, length)
  rig.store(AT, DMA_ENGINE.OFFSET, offset)
  rig.store(AT, DMA_ENGINE.COMMAND, command)
}

test('copies between its buffer and memory inside the command', () => {
  const rig = machine()
  rig.fill(
    0x10_0ff0,
    Array.from({ length: 32 }, (_, i) => i),
  )
  queue(rig, 0x10_0ff0n, 32, 0, 0x100)
  expect(rig.load(AT, DMA_ENGINE.RESULT)).toBe(0n)
  expect(rig.load(AT, DMA_ENGINE.TRANSFERRED)).toBe(32n)
  expect(rig.load(AT, DMA_ENGINE.BUFFER + 0x104)).toBe(0x0706_0504n)
  queue(rig, 0x20_0000n, 32, DMA_ENGINE_COMMAND.TO_MEMORY, 0x100)
  expect([...rig.ram(0x20_0000, 32)]).toEqual(Array.from({ length: 32 }, (_, i) => i))
})

test('reports where nothing answers, and how far it came', () => {
  const rig = machine()
  queue(rig, 0xff_fff8n, 16, DMA_ENGINE_COMMAND.TO_MEMORY)
  expect(BigInt.asIntN(32, rig.load(AT, DMA_ENGINE.RESULT))).toBe(BigInt(DMA.NO_TARGET))
  expect(rig.load(AT, DMA_ENGINE.TRANSFERRED)).toBe(8n)
})

test('works its queue off one operation per latency, in order', () => {
  const rig = machine({ latency: 10 })
  rig.store(AT, DMA_ENGINE.BUFFER, 0xaabb)
  queue(rig, 0x10_0000n, 2, DMA_ENGINE_COMMAND.TO_MEMORY)
  queue(rig, 0x10_0000n, 2, 0, 4)
  expect(rig.load(AT, DMA_ENGINE.QUEUED)).toBe(2n)
  rig.pass(10)
  expect(rig.load(AT, DMA_ENGINE.QUEUED)).toBe(1n)
  rig.pass(10)
  expect(rig.load(AT, DMA_ENGINE.ENDED)).toBe(2n)
  expect(rig.load(AT, DMA_ENGINE.BUFFER + 4)).toBe(0xaabbn)
})

test('refuses operations beyond its queue and its buffer', () => {
  const rig = machine({ latency: 1 })
  for (let i = 0; i <= DMA_ENGINE_QUEUE; i++) queue(rig, 0x10_0000n, 1, 0)
  const model = rig.fn(AT).model as DmaEngine
  expect(model.queued).toBe(DMA_ENGINE_QUEUE)
  expect(model.result).toBe(DMA.DISABLED)
  model.reset()
  queue(rig, 0x10_0000n, 2, 0, 0xffff)
  expect(model.queued).toBe(0)
})

test('signals the end of an operation by MSI', () => {
  const rig = machine()
  rig.setUpMsi(AT, 0x55)
  queue(rig, 0x10_0000n, 4, DMA_ENGINE_COMMAND.INTERRUPT)
  expect(rig.pending).toEqual([0x55])
})

test('has a PASID capability of the width asked for', () => {
  const fn = machine({ pasidBits: 16 }).fn(AT)
  const at = fn.extendedCapability(0x1b)
  expect((fn.readConfig(at + 4, 2) >> 8) & 0x1f).toBe(16)
  expect(machine().fn(AT).extendedCapability(0x1b)).toBe(0)
})

test('takes narrow stores into its buffer', () => {
  const rig = machine()
  rig.store(AT, DMA_ENGINE.BUFFER, 0x1122_3344)
  rig.store(AT, DMA_ENGINE.BUFFER + 1, 0xaa, 1)
  expect(rig.load(AT, DMA_ENGINE.BUFFER)).toBe(0x1122_aa44n)
  expect(rig.load(AT, DMA_ENGINE.BUFFER + 2, 2)).toBe(0x1122n)
})

test('resumes an operation whose page request is answered, where it stopped', () => {
  let answered = false
  const unit: IommuUnit = {
    name: 'pager',
    covers: () => true,
    translate: (request) => {
      const page = request.iovaLo >>> 12
      if (page === 0x101 && !answered) return DMA.PENDING
      request.out.hpaHi = 0
      request.out.hpaLo = request.iovaLo
      request.out.bytes = Math.min(request.length, 0x1000 - (request.iovaLo & 0xfff))
      return DMA.OK
    },
    reasonText: String,
    inspect: () => [],
  }
  const pager: Plugin = { name: 'pager', contract: 1, needs: [Bus], setup: (host) => host.get(Bus).addUnit(unit) }
  const rig = new Rig([pager, dmaEngine({ at: AT, addresses: { 0: 0xfe90_0000 } })])
  rig.enable(AT)
  rig.store(AT, DMA_ENGINE.BUFFER, 0x0403_0201)
  queue(rig, 0x10_0ffen, 4, DMA_ENGINE_COMMAND.TO_MEMORY)
  rig.pass(5)
  expect(rig.load(AT, DMA_ENGINE.QUEUED)).toBe(1n)
  answered = true
  rig.pass(1)
  expect(rig.load(AT, DMA_ENGINE.TRANSFERRED)).toBe(4n)
  expect([...rig.ram(0x10_0ffe, 4)]).toEqual([1, 2, 3, 4])
})
