import type { MmioWindow } from '@ioasis/core'
import { expect, test } from 'vitest'
import { openedWorld } from './world.test-kit.ts'

const at = (region: number, offset = 0): bigint => (BigInt(region) << 40n) + BigInt(offset)

test('registers are read and written by their offsets, and shortened at the end', () => {
  const { vmm, fd, config, model } = openedWorld()
  config.write(0x04, 2, 2)
  expect(vmm.pwrite(fd, at(0, 8), Uint8Array.of(1, 2, 3, 4))).toBe(4)
  expect([...model.registers.subarray(8, 12)]).toEqual([1, 2, 3, 4])
  expect(vmm.pread(fd, at(0, 0x1ffe), new Uint8Array(4))).toBe(2)
  expect(() => vmm.pread(fd, at(0, 0x2000), new Uint8Array(4))).toThrow('EINVAL')
})
test('memory that is off is EIO; ports are not gated, the function answers as it likes', () => {
  const { vmm, fd, config } = openedWorld({ bars: ['memory', 'io'] })
  config.write(0x04, 2, 0)
  expect(() => vmm.pread(fd, at(0), new Uint8Array(4))).toThrow('EIO')
  const into = new Uint8Array(4)
  vmm.pread(fd, at(1), into)
  expect([...into]).toEqual([255, 255, 255, 255])
})
test("the MSI-X table is the kernel's: ones, and writes are lost", () => {
  const { vmm, fd, config } = openedWorld({ msix: 4 })
  config.write(0x04, 2, 2)
  const into = new Uint8Array(20)
  vmm.pwrite(fd, at(0), new Uint8Array(4))
  vmm.pread(fd, at(0, 0x30), into)
  expect([into[0], into[15], into[16]]).toEqual([255, 255, 0])
})
test('regions that are not there are EINVAL, and a ROM is not written', () => {
  const { vmm, fd } = openedWorld({ bars: ['memory', 'rom'] })
  for (const region of [3, 8, 9]) expect(() => vmm.pread(fd, at(region), new Uint8Array(1))).toThrow('EINVAL')
  expect(() => vmm.pwrite(fd, at(6), new Uint8Array(1))).toThrow('EINVAL')
  expect(() => vmm.pread(fd, at(6), new Uint8Array(1))).toThrow('ENOMEM')
})
test('a ROM reads as its images, then ones', () => {
  const rom = new Uint8Array(512)
  rom.set([0x55, 0xaa])
  rom[0x18] = 0x1c
  rom.set([0x50, 0x43, 0x49, 0x52], 0x1c)
  rom[0x2c] = 1
  rom[0x31] = 0x80
  const { vmm, fd, config } = openedWorld({ bars: ['memory', 'rom'], rom })
  config.write(0x04, 2, 2)
  const into = new Uint8Array(4)
  vmm.pread(fd, at(6, 510), into)
  expect([...into]).toEqual([0, 0, 255, 255])
})
test('legacy memory and ports of a display that does not answer give ones, and end where they end', () => {
  const { vmm, fd } = openedWorld({ classCode: 0x0300 })
  const into = new Uint8Array(4)
  expect([vmm.pread(fd, at(8, 0x3ba), into), into[0]]).toEqual([2, 255])
  expect(vmm.pread(fd, at(8, 0xb_fffe), into)).toBe(2)
  expect(() => vmm.pread(fd, at(8, 0x100), into)).toThrow('EINVAL')
})
test('legacy memory and ports reach the display whatever COMMAND says, in pieces of at most four bytes', () => {
  const seen: string[] = []
  const window = (what: string): MmioWindow => ({
    load: (offset, size) => (seen.push(`${what} ${offset.toString(16)}+${size}`), 0x5an),
    store: (offset, size, value) => seen.push(`${what} ${offset.toString(16)}+${size}=${value}`),
  })
  const vga = { memory: window('memory'), ports: window('ports') }
  const { vmm, fd, config } = openedWorld({ classCode: 0x0300, vga })
  config.write(0x04, 2, 0)
  const into = new Uint8Array(7)
  expect([vmm.pread(fd, at(8, 0x3cd), into), into[0]]).toEqual([7, 0x5a])
  vmm.pread(fd, at(8, 0xb_8000), into.subarray(0, 4))
  vmm.pwrite(fd, at(8, 0x3da), Uint8Array.of(1, 2))
  vmm.pwrite(fd, at(8, 0xb_ffff), Uint8Array.of(3, 4))
  expect(seen).toEqual([
    'ports 3cd+1',
    'ports 3ce+2',
    'ports 3d0+4',
    'memory 18000+4',
    'ports 3da+2=513',
    'memory 1ffff+1=3',
  ])
})
