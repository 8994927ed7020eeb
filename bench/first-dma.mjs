// From nothing to the first verified DMA. Prints its peak memory in KiB.
import { DMA } from '@ioasis/core'
import { contiguous, makeWorld, RW } from './world.mjs'

const { host, domain, port, memory } = makeWorld(2 ** 26)
domain.map(0x1000_0000n, contiguous(0x100_0000, 4096), RW)
const status = port.write(0x1000_0010n, Uint8Array.of(1, 2, 3, 4))
const landed = new Uint8Array(4)
memory.read(0x100_0010, landed)
host.close()
if (status !== DMA.OK || landed.join() !== '1,2,3,4') process.exit(1)
process.stdout.write(String(process.resourceUsage().maxRSS))
