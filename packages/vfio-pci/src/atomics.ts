/**
 * Atomic operations that a function may send to memory, as the way up to the root complex completes them.
 * drivers/vfio/pci/vfio_pci_core.c vfio_pci_info_atomic_cap; drivers/pci/pci.c pci_enable_atomic_ops_to_root.
 */
import { CAP, EXPRESS, type InfoCapability, type PciFunction, PORT } from '@ioasis/core'
import { dword, word } from './config/words.ts'

/** Device Capabilities 2: routing, and completion of 32, 64 and 128 bits. */
const DEVCAP2 = 0x24
const ROUTING = 0x40
const COMPLETERS = [0x80, 0x100, 0x200]
/** Device Control 2. */
const REQUESTER_ENABLE = 0x40
const EGRESS_BLOCKING = 0x80
/** VFIO_DEVICE_INFO_CAP_PCI_ATOMIC_COMP; its flags are VFIO_PCI_ATOMIC_COMP32, 64 and 128. */
const CAPABILITY = 5

/** The capability for VFIO_DEVICE_GET_INFO; none without any width. A virtual function goes by its physical one. */
export function atomicCapability(fn: PciFunction): readonly InfoCapability[] {
  const physical = fn.virtfn?.physfn ?? fn
  const at = physical.capability(CAP.EXPRESS)
  const own = at ? dword(physical.config, at + DEVCAP2) : 0
  let flags = 0
  COMPLETERS.forEach((width, i) => {
    if (own & width && enableToRoot(physical, width)) flags |= 1 << i
  })
  if (flags === 0) return []
  const body = new Uint8Array(8)
  body[0] = flags
  return [{ id: CAPABILITY, version: 1, body }]
}

const typeOf = ({ config }: PciFunction, at: number): number => (word(config, at + EXPRESS.FLAGS) >>> 4) & 0xf

/** Asks each bridge above, and lets the function send them. */
function enableToRoot(fn: PciFunction, width: number): boolean {
  const own = fn.capability(CAP.EXPRESS)
  const type = typeOf(fn, own)
  if (type !== PORT.ENDPOINT && type !== PORT.LEGACY_ENDPOINT) return false
  const control = own + EXPRESS.DEVCTL2
  // Who composed the machine may keep the root port from sight, and vouch for it.
  if (!hasRootPort(fn)) return (fn.readConfig(control, 2) & REQUESTER_ENABLE) !== 0
  for (let bridge = fn.parent; bridge; bridge = bridge.parent) {
    const at = bridge.capability(CAP.EXPRESS)
    if (at && !passes(bridge, at, width)) return false
  }
  fn.writeConfig(control, 2, fn.readConfig(control, 2) | REQUESTER_ENABLE)
  return true
}

function hasRootPort(fn: PciFunction): boolean {
  for (let bridge = fn.parent; bridge; bridge = bridge.parent) if (bridge.bridge?.kind === 'rootPort') return true
  return false
}

function passes(bridge: PciFunction, at: number, width: number): boolean {
  const can = dword(bridge.config, at + DEVCAP2)
  switch (typeOf(bridge, at)) {
    case PORT.UPSTREAM:
      return (can & ROUTING) !== 0 && (word(bridge.config, at + EXPRESS.DEVCTL2) & EGRESS_BLOCKING) === 0
    case PORT.DOWNSTREAM:
      return (can & ROUTING) !== 0
    case PORT.ROOT_PORT:
      return (can & width) !== 0
    default:
      return true
  }
}
