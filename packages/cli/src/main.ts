#!/usr/bin/env node
/** `ioasis`: exit code 0 for success, 1 when what was checked does not hold, 2 for bad arguments or input. */
import { readFileSync } from 'node:fs'
import { CompositionError } from '@ioasis/core'
import { Command, CommanderError } from 'commander'
import { demo } from './commands/demo.ts'
import { groups } from './commands/groups.ts'
import { hwcases } from './commands/hwcases.ts'
import { walk } from './commands/walk.ts'
import { InputError } from './input.ts'
import { processTerminal } from './terminal.ts'

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
const terminal = processTerminal()

// A reader that has seen enough (`ioasis groups | head`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : 2)
})

const program = new Command('ioasis')
  .description(
    "A Linux host's device-assignment stack, composed in this process: no IOMMU, no root, no virtual machine.",
  )
  .version(version)
  .showHelpAfterError('(ioasis --help shows what there is)')
  .exitOverride()
for (const command of [demo, groups, walk, hwcases]) program.addCommand(command(terminal).exitOverride())

try {
  await program.parseAsync()
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2
  else if (error instanceof CompositionError || error instanceof InputError) {
    terminal.error(`ioasis: ${error.message}`)
    process.exitCode = 2
  } else throw error
}
