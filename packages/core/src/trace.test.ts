import { expect, test } from 'vitest'
import { Trace } from './trace.ts'

test('events reach their listeners until they stop', () => {
  const trace = new Trace()
  const seen: number[] = []
  const off = trace.on('wbinvd', ({ cpu }) => seen.push(cpu))
  trace.on('wbinvd', ({ cpu }) => seen.push(cpu + 100))
  trace.emit('wbinvd', { cpu: 1 })
  off()
  trace.emit('wbinvd', { cpu: 2 })
  expect(seen).toEqual([1, 101, 102])
})

test('a hot path is told when the first listener comes and the last one goes', () => {
  const trace = new Trace()
  const told: boolean[] = []
  trace.onChange('dma', (wanted) => told.push(wanted))
  const off = trace.on('dma', () => {})
  expect(trace.wants('dma')).toBe(true)
  off()
  expect(trace.wants('dma')).toBe(false)
  expect(told).toEqual([true, false])
})
