/**
 * The PCI Express capability: payload size, read request size and the reset bit are the user's own.
 * drivers/vfio/pci/vfio_pci_config.c vfio_exp_config_write.
 */
import { EXPRESS } from '@ioasis/core'
import type { Target } from './owner.ts'
import { type Access, byBits, NONE, permission } from './permission.ts'
import { dword, setWord, word } from './words.ts'

/** Device Control: Phantom Functions Enable. Device Control 2: ARI Forwarding Enable. */
const PHANTOM = 0x0200
const ARI = 0x0020
/** 4096 bytes. */
const MOST_READ_REQUEST = 0x5000

const bits = byBits(
  permission(0x34, [
    [1, 1, 0xff, NONE],
    [EXPRESS.DEVCTL, 2, EXPRESS.DEVCTL_FLR | EXPRESS.DEVCTL_PAYLOAD | EXPRESS.DEVCTL_READ_REQUEST, ~PHANTOM & 0xffff],
    [EXPRESS.DEVCTL2, 2, NONE, ~ARI & 0xffff],
  ]),
)

/** The rules of the PCI Express capability. */
export const express: Required<Access<Target>> = {
  read: bits.read,
  write(target, chunk, value) {
    const { fn, virtual, owner } = target
    const start = chunk.pos - chunk.offset
    const control = start + EXPRESS.DEVCTL
    const before = word(virtual, control) & EXPRESS.DEVCTL_READ_REQUEST
    bits.write(target, chunk, value)
    if (word(virtual, control) & EXPRESS.DEVCTL_FLR) {
      setWord(virtual, control, word(virtual, control) & ~EXPRESS.DEVCTL_FLR)
      if (dword(fn.config, start + EXPRESS.DEVCAP) & EXPRESS.DEVCAP_FLR) owner.memoryOff(() => owner.resetFunction())
      owner.memoryOn()
    }
    const now = word(virtual, control) & EXPRESS.DEVCTL_READ_REQUEST
    if (now !== before) setReadRequest(target, control, now)
  },
}

/** The hardware gets what the user wants, but at least what fills a whole packet of its real payload size. */
function setReadRequest({ fn }: Target, control: number, wanted: number): void {
  const now = fn.readConfig(control, 2)
  const payload = (now & EXPRESS.DEVCTL_PAYLOAD) << 7
  const size = Math.max(wanted, payload)
  // pcie_set_readrq(): beyond 4096 bytes there is none.
  if (size > MOST_READ_REQUEST) return
  fn.writeConfig(control, 2, (now & ~EXPRESS.DEVCTL_READ_REQUEST) | size)
}
