/**
 * The four boxes of the coherency contract: can this function send No Snoop requests, and does its IOMMU block them?
 *
 *                         IOMMU cannot block            IOMMU blocks (SNP, FC, POWER always)
 *   device cannot         1 coherent                    2 coherent
 *   device can            3 a hypervisor must act       4 coherent, enforced
 *
 * What Linux reports never asks the first question: `kvmReport` is the kernel's policy (virt/kvm/vfio.c
 * kvm_vfio_file_enforced_coherent), `narrowReport` the one that would ask both.
 */
import type { PciFunction } from '../pci/function.ts'
import type { IommuDevice } from './driver.ts'

/** PCI Express capability, "Device Control Register": Enable No Snoop. */
const EXPRESS = 0x10
const DEVICE_CONTROL = 8
const ENABLE_NO_SNOOP = 1 << 11

/** Number of a box, as in the table above. */
export type CoherencyBox = 1 | 2 | 3 | 4

/**
 * Whether a function can send requests with the No Snoop attribute: Enable No Snoop is set, or software can set it.
 * A conventional PCI function has no such attribute.
 */
export function canNoSnoop(fn: PciFunction): boolean {
  const express = fn.capability(EXPRESS)
  if (express === 0) return false
  const at = express + DEVICE_CONTROL
  return ((fn.readConfig(at, 2) | fn.writableConfig(at, 2)) & ENABLE_NO_SNOOP) !== 0
}

/** Whether the IOMMU in front of a function can make No Snoop harmless. */
export const blocksNoSnoop = (device: IommuDevice): boolean => device.caps.enforcesCoherency

/** The box a function stands in. */
export function coherencyBox(fn: PciFunction, device: IommuDevice | undefined): CoherencyBox {
  const blocks = device !== undefined && blocksNoSnoop(device)
  if (canNoSnoop(fn)) return blocks ? 4 : 3
  return blocks ? 2 : 1
}

/** What a hypervisor is told: `noncoherent` makes it honour guests' cache instructions. */
export type CoherencyReport = 'coherent' | 'noncoherent'

/** Linux's policy: the IOMMU alone decides; an emulated device (no IOMMU) counts as non-coherent. */
export const kvmReport = (device: IommuDevice | undefined): CoherencyReport =>
  device && blocksNoSnoop(device) ? 'coherent' : 'noncoherent'

/** The narrow policy: non-coherent only where the function can do No Snoop and nothing blocks it. */
export const narrowReport = (fn: PciFunction, device: IommuDevice | undefined): CoherencyReport =>
  coherencyBox(fn, device) === 3 ? 'noncoherent' : 'coherent'
