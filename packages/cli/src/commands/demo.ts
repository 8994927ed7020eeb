/** `ioasis demo`: the main job, told as a story. Each chapter composes what it needs and closes it again. */
import { Command } from 'commander'
import { showCoherency } from '../demo/coherency.ts'
import { showMachine } from '../demo/machine.ts'
import { showMapping } from '../demo/mapping.ts'
import { showProgram } from '../demo/program.ts'
import { replayAll } from '../demo/replay.ts'
import type { Terminal } from '../terminal.ts'

/** The machine of the story. */
const MACHINE = 'intel-sc'

/** Builds the sub-command. */
export const demo = (terminal: Terminal): Command =>
  new Command('demo')
    .summary('Tell the whole story: compose, map, DMA, faults, a program, a guest, recorded answers.')
    .description(
      'Compose a recorded machine, send DMA through its IOMMU, drive a device from a program and from a guest, and replay recorded answers.',
    )
    .action(() => {
      showMachine(MACHINE, terminal)
      showMapping(MACHINE, terminal)
      const sound = showProgram(MACHINE, terminal)
      showCoherency(terminal)
      const agrees = replayAll(terminal)
      if (!sound || !agrees) process.exitCode = 1
    })
