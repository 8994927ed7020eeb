/** A frozen endpoint as a program meets it: through the container, the device's registers and its DMA. */
import { Client, Clock, Drivers, type Host, Pci, Processes } from '@ioasis/core'
import {
  VFIO_DEVICE_GET_REGION_INFO,
  VFIO_EEH_PE,
  VFIO_EEH_PE_OP,
  VFIO_EXTENSION,
  VFIO_GROUP_GET_DEVICE_FD,
  VFIO_GROUP_SET_CONTAINER,
  VFIO_IOMMU_MAP_DMA,
  VFIO_IOMMU_SPAPR_REGISTER_MEMORY,
  VFIO_SET_IOMMU,
} from '@ioasis/uapi'
import { audit } from '@ioasis/testkit'
import { describe, expect, test } from 'vitest'
import { powernvHost } from './power-machines.ts'

const EDU = '0001:01:00.0'
const IDENT = 0x0100_00edn
const ONES = 0xffff_ffffn
const BUFFER = 0x100_0000_0000n
const PAGE = 4096
const CONFIG = 7n << 40n
const STATE = { normal: 0, stopped: 2, dmaStopped: 4 } as const
/** Registers of QEMU's edu device, docs/specs/edu.rst. */
const REGISTER = { IDENT: 0n, SOURCE: 0x80n, DESTINATION: 0x88n, COUNT: 0x90n, RUN: 0x98n } as const
const DEVICE_BUFFER = 0x40000n

/** A program that has edu in a container, one page of memory mapped at 0, and the device's registers mapped. */
class Program {
  readonly host: Host
  readonly vmm: Client
  readonly container: number
  readonly group: number
  readonly device: number
  readonly registers: bigint

  constructor() {
    this.host = powernvHost()
    const drivers = this.host.get(Drivers)
    const fn = this.host.get(Pci).get(EDU)
    drivers.setOverride(fn, 'vfio-pci')
    drivers.bind('vfio-pci', fn)
    const vmm = (this.vmm = new Client(this.host, this.host.get(Processes).spawn()))
    this.container = vmm.open('/dev/vfio/vfio')
    this.group = vmm.open('/dev/vfio/1')
    vmm.ioctl(this.group, VFIO_GROUP_SET_CONTAINER, vmm.put(new Uint8Array(Int32Array.of(this.container).buffer)))
    vmm.ioctl(this.container, VFIO_SET_IOMMU, VFIO_EXTENSION.VFIO_SPAPR_TCE_v2_IOMMU)
    vmm.mmap({ uva: BUFFER, bytes: PAGE })
    vmm.ioctl(this.container, VFIO_IOMMU_SPAPR_REGISTER_MEMORY, { vaddr: BUFFER, size: BigInt(PAGE) })
    vmm.ioctl(this.container, VFIO_IOMMU_MAP_DMA, { flags: 3, vaddr: BUFFER, iova: 0n, size: BigInt(PAGE) })
    this.device = this.openDevice()
    const { offset, size } = vmm.ioctl(this.device, VFIO_DEVICE_GET_REGION_INFO, { index: 0 })
    this.registers = vmm.mmap({ fd: this.device, offset, bytes: size })
    vmm.pwrite(this.device, CONFIG + 4n, Uint8Array.of(6, 0))
  }
  openDevice(): number {
    return this.vmm.ioctl(this.group, VFIO_GROUP_GET_DEVICE_FD, this.vmm.putText(EDU))
  }
  /** @returns what the call returns: of GET_STATE the state */
  eeh(op: number): number {
    return this.vmm.ioctlRet(this.container, VFIO_EEH_PE_OP, { op })
  }
  state(): number {
    return this.eeh(VFIO_EEH_PE.GET_STATE)
  }
  ident(): unknown {
    return this.vmm.memRead(this.registers + REGISTER.IDENT, 4)
  }
  /** Eight bytes of the device's buffer go to an address on the bus. */
  store(iova: bigint): void {
    const values = [
      [REGISTER.SOURCE, DEVICE_BUFFER],
      [REGISTER.DESTINATION, iova],
      [REGISTER.COUNT, 8n],
      [REGISTER.RUN, 3n],
    ] as const
    for (const [register, value] of values) this.vmm.memWrite(this.registers + register, 8, value)
    this.host.get(Clock).advance(1000)
  }
  /** Whether DMA to the mapped page arrives. */
  arrives(): boolean {
    this.vmm.poke(BUFFER, new Uint8Array(8).fill(0xaa))
    this.store(0n)
    return this.vmm.peek(BUFFER, 1)[0] === 0
  }
  freeze(): this {
    this.store(0x10_0000n)
    return this
  }
}

describe('a store to an address that is not mapped', () => {
  test('stops registers and DMA until both are thawed', () => {
    const program = new Program()
    expect([program.arrives(), program.ident(), program.state()]).toEqual([true, IDENT, STATE.normal])
    program.freeze()
    expect([program.ident(), program.state()]).toEqual([ONES, STATE.stopped])
    expect([program.eeh(VFIO_EEH_PE.UNFREEZE_IO), program.state(), program.ident()]).toEqual([
      0,
      STATE.dmaStopped,
      IDENT,
    ])
    expect(program.arrives()).toBe(false)
    expect([program.eeh(VFIO_EEH_PE.UNFREEZE_DMA), program.state(), program.arrives()]).toEqual([0, STATE.normal, true])
    expect(audit(program.host).violations).toEqual([])
    program.host.close()
  })
  test('is recovered by a hot reset: frozen until it ends, then with its BARs, and mappings as they were', () => {
    const program = new Program().freeze()
    expect([program.eeh(VFIO_EEH_PE.RESET_HOT), program.state(), program.ident()]).toEqual([0, STATE.stopped, ONES])
    expect([program.eeh(VFIO_EEH_PE.RESET_DEACTIVATE), program.eeh(VFIO_EEH_PE.CONFIGURE)]).toEqual([0, 0])
    expect([program.state(), program.ident()]).toEqual([STATE.normal, IDENT])
    program.vmm.pwrite(program.device, CONFIG + 4n, Uint8Array.of(6, 0))
    expect([program.arrives(), audit(program.host).violations]).toEqual([true, []])
    program.host.close()
  })
  test('is recovered by enabling recovery again, and by a fundamental reset', () => {
    const program = new Program().freeze()
    expect([program.eeh(VFIO_EEH_PE.ENABLE), program.state(), program.ident()]).toEqual([0, STATE.normal, IDENT])
    program.freeze()
    expect([program.eeh(VFIO_EEH_PE.RESET_FUNDAMENTAL), program.eeh(VFIO_EEH_PE.RESET_DEACTIVATE)]).toEqual([0, 0])
    expect([program.state(), program.ident()]).toEqual([STATE.normal, IDENT])
    program.host.close()
  })
  test('leaves a working device to who opens it next', () => {
    const program = new Program().freeze()
    const { vmm } = program
    vmm.munmap(program.registers, 0x10_0000)
    vmm.close(program.device)
    expect(program.state()).toBe(STATE.normal)
    const config = new Uint8Array(2)
    vmm.pread(program.openDevice(), CONFIG, config)
    expect([...config]).toEqual([0x34, 0x12])
    program.host.close()
  })
  test('leaves the other endpoints of the machine alone', () => {
    const program = new Program().freeze()
    const other = program.host.get(Pci).get('0002:02:01.0')
    other.writeConfig(4, 2, 6)
    expect(other.dma.write(1n << 59n, new Uint8Array(8))).toBe(0)
    program.host.close()
  })
})
