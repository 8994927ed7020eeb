/** Chapter 3: a program drives the NIC from user space: the parked device file, /dev/iommu, DMA into its own buffer. */
import { Client, DMA, hex, type Host, IoctlTable, Pci, type PciFunction, Processes, Strace, Tracer } from '@ioasis/core'
import { labHost } from '@ioasis/hosts'
import { IOMMU_IOAS_ALLOC, IOMMU_IOAS_MAP, IOMMU_IOAS_UNMAP, MAP_FLAG } from '@ioasis/iommufd'
import {
  VFIO_DEVICE_ATTACH_IOMMUFD_PT,
  VFIO_DEVICE_BIND_IOMMUFD,
  VFIO_DEVICE_GET_INFO,
  VFIO_DEVICE_GET_REGION_INFO,
  VFIO_PCI_REGION,
} from '@ioasis/uapi'
import { audit } from '@ioasis/testkit'
import { hexDump, type Terminal } from '../terminal.ts'
import { deviceNode } from '../virtual-machine.ts'

const NIC = '0000:01:00.0'
const IOVA = 0x10_0000n
const PAGE = 4096
const COMMAND = 4n
const BUS_MASTER = 4

const ascii = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0))

/** Prints the program's calls as strace does, and what its device does in between. @returns whether the host is sound after it */
export function showProgram(name: string, terminal: Terminal): boolean {
  const { line, style } = terminal
  using host = labHost(`${name}.type1`)
  line(style.title('3  A program: from an ioctl to bytes in its memory'))
  const program = new Client(host, host.get(Processes).spawn({ name: 'driver' }))
  program.observer = new Strace(host.all(IoctlTable), (text) => {
    line(`  ${text}`)
  })
  const nic = host.get(Pci).get(NIC)
  const shell = new Client(host, host.get(Processes).spawn({ name: 'sh' }))
  line('vfio-pci takes the NIC, as an administrator does it:')
  store(shell, `/sys/bus/pci/devices/${NIC}/driver_override`, 'vfio-pci', terminal)
  store(shell, '/sys/bus/pci/drivers_probe', NIC, terminal)
  const device = opened(program, deviceNode(host, nic), terminal)
  line('The file is parked: until it is bound to an iommufd it refuses everything.')
  program.attempt(device, VFIO_DEVICE_GET_INFO)
  program.attempt(device, VFIO_DEVICE_GET_REGION_INFO, { index: VFIO_PCI_REGION.CONFIG })
  program.attempt(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, { pt_id: 1 })
  line('Bound, it answers; attached to an I/O address space, its DMA goes where the program maps:')
  const iommu = opened(program, '/dev/iommu', terminal)
  program.ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, { iommufd: iommu })
  const { out_ioas_id: ioas_id } = program.ioctl(iommu, IOMMU_IOAS_ALLOC)
  program.ioctl(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, { pt_id: ioas_id })
  const buffer = program.mmap({ bytes: PAGE })
  line(`  mmap(NULL, ${PAGE}, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = ${hex(buffer)}`)
  const flags = MAP_FLAG.FIXED_IOVA | MAP_FLAG.WRITEABLE | MAP_FLAG.READABLE
  const length = BigInt(PAGE)
  program.ioctl(iommu, IOMMU_IOAS_MAP, { flags, ioas_id, user_va: buffer, length, iova: IOVA })
  enableDma(program, device, terminal)
  const show = faults(host, terminal)
  line(`The NIC writes 16 bytes to iova ${hex(IOVA + 0x20n)}; the program reads its buffer:`)
  show(nic, IOVA + 0x20n, 'hello from nic! ')
  line(style.good(`  ${hexDump(program.peek(buffer + 0x20n, 16), Number(buffer) + 0x20, true)[0]}`))
  program.ioctl(iommu, IOMMU_IOAS_UNMAP, { ioas_id, iova: IOVA, length })
  line('Unmapped: the same write is refused.')
  show(nic, IOVA + 0x20n, 'written too late')
  program.exit()
  const { violations } = audit(host)
  line(`The program exits without closing anything. The audit of the host finds ${violations.length} violations.`)
  for (const one of violations) line(style.bad(`  ${one}`))
  line()
  return violations.length === 0
}

/** `echo VALUE > PATH` */
function store(shell: Client, path: string, value: string, { line, style }: Terminal): void {
  const fd = shell.open(path, 'wo')
  shell.write(fd, ascii(value))
  shell.close(fd)
  line(`  ${style.dim('#')} echo ${value} > ${path}`)
}

function opened(program: Client, path: string, { line }: Terminal): number {
  const fd = program.open(path)
  line(`  openat(AT_FDCWD, "${path}", O_RDWR) = ${fd}`)
  return fd
}

/** Sets the NIC's bus master bit through the region of its configuration space. */
function enableDma(program: Client, device: number, { line }: Terminal): void {
  const { offset } = program.ioctl(device, VFIO_DEVICE_GET_REGION_INFO, { index: VFIO_PCI_REGION.CONFIG })
  const command = new Uint8Array(2)
  program.pread(device, offset + COMMAND, command)
  command[0] = (command[0] as number) | BUS_MASTER
  const done = program.pwrite(device, offset + COMMAND, command)
  line(
    `  pwrite64(${device}, "\\x${command[0].toString(16)}\\x${(command[1] as number).toString(16)}", 2, ${hex(offset + COMMAND)}) = ${done}`,
  )
}

/** @returns lets a function write a text by DMA, and prints how that ended */
function faults(host: Host, { line, style }: Terminal): (fn: PciFunction, iova: bigint, text: string) => void {
  const said: string[] = []
  host.get(Tracer).on('fault', ({ text }) => said.push(text))
  return (fn, iova, text) => {
    const status = fn.dma.write(iova, ascii(text))
    if (status !== DMA.OK) line(style.good(`  refused, reason ${hex(status)}`))
    for (const one of said.splice(0)) line(style.dim(`  kernel: ${one}`))
  }
}
