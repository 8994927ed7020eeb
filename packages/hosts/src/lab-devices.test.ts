/** Devices of the lab machines as vfio-pci shows them, where no recording here does: expectations are QEMU's and the kernel's source. */
import { describe, expect, test } from 'vitest'
import { answersOf, playScript } from './script.test-kit.ts'

const bytesOf = (script: string): readonly unknown[] =>
  playScript('intel-sc.type1', script)
    .filter(({ op }) => op === 'pread')
    .map(({ out, errno }) => errno ?? out['data'])

const controls = (alias: string, at: number): readonly unknown[] =>
  bytesOf(`opendev dev ${alias}
    pwrite @dev 7 ${at + 8} u16:0xffff
    pread @dev 7 ${at + 8} 4
    pwrite @dev 7 ${at + 16} u16:0xffff
    pread @dev 7 ${at + 16} 4
    pwrite @dev 7 ${at + 40} u16:0xffff
    pread @dev 7 ${at + 40} 2`)

describe('the PCI Express capability', () => {
  test('of the e1000e, version 1, keeps payload and read request size, which are vfio’s own', () => {
    expect(controls('nic', 0xe0).slice(0, 2)).toEqual(['e0700000', '00001100'])
  })
  test('of nvme resets the function, and has prefix blocking', () => {
    expect(controls('mfp0', 0x80)).toEqual(['e0700000', '00001100', '0080'])
  })
  test('of the virtio device reports errors', () => {
    expect(controls('rng', 0x40)).toEqual(['ef700000', '00001100', '0080'])
  })
})

test('64-bit BARs tell their sizes in both halves, and bits of their kind in the lower one', () => {
  const sizes = bytesOf(`opendev nvme mfp0
    opendev rng rng
    pwrite @nvme 7 0x10 u32:0xffffffff,0xffffffff
    pread @nvme 7 0x10 12
    pwrite @rng 7 0x20 u32:0xffffffff,0xffffffff
    pread @rng 7 0x20 8`)
  expect(sizes).toEqual(['04c0ffffffffffff00000000', '0cc0ffffffffffff'])
})

test('the access window of the virtio device takes what is written, its other capabilities do not', () => {
  const read = bytesOf(`opendev dev rng
    pwrite @dev 7 0xcc u8:4
    pwrite @dev 7 0xd0 u32:0x10,4
    pread @dev 7 0xc8 16
    pwrite @dev 7 0x88 u32:0xffffffff,0xffffffff
    pread @dev 7 0x84 16`)
  expect(read).toEqual(['09b41405040000001000000004000000', '097c1001040000000000000000100000'])
})

describe('the legacy VGA region', () => {
  test('shows a display in text mode: other memory maps and monochrome ports do not answer', () => {
    const read = bytesOf(`opendev dev vga
      pread @dev 8 0x3cc 1
      pread @dev 8 0x3b4 2
      pread @dev 8 0x3c0 4
      pread @dev 8 0xa0000 4
      pwrite @dev 8 0xb8000 u32:0x07420741
      pread @dev 8 0xb8000 6`)
    expect(read).toEqual(['67', 'ffff', 'ffffffff', 'ffffffff', '410742076107'])
  })
  test('is two runs of ports and 128 KiB of memory, shortened at their ends, of the display alone', () => {
    const places = [0, 0x3af, 0x3bc, 0x3bf, 0x3e0, 0x9ffff, 0xc0000]
    const reads = places.map((at) => `pread @dev 8 ${at} 1`).join('\n')
    const played = playScript(
      'intel-sc.type1',
      `opendev dev vga\nopendev other edu\n${reads}\npread @other 8 0xa0000 1`,
    )
    expect(new Set(answersOf(played, 'pread'))).toEqual(new Set(['EINVAL']))
    expect(bytesOf('opendev dev vga\npread @dev 8 0xbfffe 4\npread @dev 8 0x3bb 4')).toEqual(['2007', 'ff'])
  })
})

test('MSI of a virtual function’s physical one is masked for vectors without an event', () => {
  const read = bytesOf(`opendev dev pf
    eventfd ev
    pwrite @dev 7 0x60 u32:0xffffffff
    pread @dev 7 0x60 4
    VFIO_DEVICE_SET_IRQS @dev flags=D_EVENTFD|A_TRIGGER index=IRQ_MSI start=0 count=1 data=fd:@ev
    pread @dev 7 0x60 4`)
  expect(read).toEqual(['01000000', '00000000'])
})
