/** `ioasis demo`: the main job, told as a story. Each chapter composes what it needs and closes it again. */
import { Command } from 'commander'
import { showCoherency } from '../demo/coherency.ts'
import { showMachine } from '../demo/machine.ts'
import { showMapping } from '../demo/mapping.ts'
import { replayCases } from '../demo/replay.ts'
import type { Terminal } from '../terminal.ts'

/** The machine of the story. */
const MACHINE = 'intel-sc'

/** Builds the sub-command. */
export const demo = (terminal: Terminal): Command =>
  new Command('demo')
    .summary('Tell the whole story: compose, map, DMA, faults, recorded answers.')
    .description(
      'Compose a recorded machine, map, send DMA, watch it land or fault, and replay recorded hardware answers.',
    )
    .action(() => {
      showMachine(MACHINE, terminal)
      showMapping(MACHINE, terminal)
      showCoherency(MACHINE, terminal)
      if (!replayCases(terminal)) process.exitCode = 1
    })
