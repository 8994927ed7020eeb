/** Calls on descriptors and memory that are no ioctl. */
import { POLL, type SystemCalls } from '@ioasis/core'
import type { RandomSource } from '../../random-source.ts'

/** Region index in the offset of a device file. */
const REGION_SHIFT = 40n
const REGIONS = 11
const PAGE = 4096
const LENGTHS = [0, 1, 2, 4, 8, 16, 40, 80, 256]
/** Below lie the structs of calls, which stay mapped. */
const BUFFERS = 2 ** 45

/** A call that is about to be made. */
export interface FileCall {
  readonly text: string
  run(): unknown
}

/** One with a descriptor that may be open, at a place that may be a register. */
export function fileCall(calls: SystemCalls, random: RandomSource): FileCall {
  const open = calls.fds.all.filter(({ fd }) => fd > 2)
  const fd = open.length > 0 && random.chance(19, 20) ? random.pick(open).fd : random.below(40) - 2
  const bytes = new Uint8Array(random.pick(LENGTHS))
  const within = random.below(random.pick([16, 256, PAGE, 2 ** 20]))
  const offset = (BigInt(random.below(REGIONS)) << REGION_SHIFT) + BigInt(within)
  switch (random.below(12)) {
    case 0:
      return { text: `close ${fd}`, run: () => calls.close(random.chance(1, 3) ? fd : calls.dup(fd)) }
    case 1:
      return { text: `dup ${fd}`, run: () => calls.dup(fd) }
    case 2:
      return { text: `read ${fd} ${bytes.length}`, run: () => calls.read(fd, bytes) }
    case 3:
      bytes.forEach((_, i) => (bytes[i] = i % 4 === 0 ? random.below(6) : 0))
      return { text: `write ${fd} ${bytes.length}`, run: () => calls.write(fd, bytes) }
    case 4:
    case 5:
      return { text: `pread ${fd} ${offset} ${bytes.length}`, run: () => calls.pread(fd, offset, bytes) }
    case 6:
    case 7:
      bytes.forEach((_, i) => (bytes[i] = random.chance(1, 2) ? random.below(256) : 0))
      return { text: `pwrite ${fd} ${offset} ${bytes.length}`, run: () => calls.pwrite(fd, offset, bytes) }
    case 8:
      return { text: `poll ${fd}`, run: () => calls.poll([{ fd, events: POLL.IN | POLL.OUT }])[0] }
    case 9:
      return mapCall(calls, fd, offset - BigInt(within % PAGE), random)
    default:
      return memoryCall(calls, random)
  }
}

function mapCall(calls: SystemCalls, fd: number, offset: bigint, random: RandomSource): FileCall {
  const bytes = PAGE * (1 + random.below(4))
  const write = random.chance(2, 3)
  return { text: `mmap ${fd} ${offset} ${bytes}`, run: () => calls.mmap({ fd, offset, bytes, write }) }
}
function memoryCall(calls: SystemCalls, random: RandomSource): FileCall {
  const { mappings } = calls.process.addressSpace
  const uva = mappings.length > 0 ? random.pick(mappings).first : PAGE
  const goes = uva >= BUFFERS && random.chance(1, 8)
  if (goes) return { text: `munmap ${uva}`, run: () => calls.munmap(BigInt(uva), PAGE) }
  return { text: `load ${uva}`, run: () => calls.memRead(BigInt(uva), 4) }
}
