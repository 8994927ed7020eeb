#!/usr/bin/env node
/** `ioasis`: exit code 0 for success, 1 when what was checked does not hold, 2 for bad arguments or input. */
import { readFileSync } from 'node:fs'
import { CompositionError } from '@ioasis/core'
import { Command, CommanderError } from 'commander'
import { demo } from './commands/demo.ts'
import { groups } from './commands/groups.ts'
import { hwcases } from './commands/hwcases.ts'
import { matrix } from './commands/matrix.ts'
import { replay } from './commands/replay.ts'
import { walk } from './commands/walk.ts'
import { InputError } from './input.ts'
import { processTerminal } from './terminal.ts'

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
const terminal = processTerminal()

// A reader that has seen enough (`ioasis groups | head`) is no error.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    process.exit(error.code === 'EPIPE' ? 0 : 2)
  })
}

const program = new Command('ioasis')
  .description(
    "A Linux host's device-assignment stack, composed in this process: no IOMMU, no root, no virtual machine.",
  )
  .version(version)
  .configureHelp({ subcommandTerm: (command) => command.name() })
  .configureOutput({ outputError: refuse })
  .addHelpText(
    'after',
    `
ioasis COMMAND --help tells a command's arguments and options.
Exit code 0: success; 1: what was checked does not hold; 2: bad arguments or input.`,
  )
  .exitOverride()
for (const command of [demo, groups, walk, matrix, replay, hwcases])
  program.addCommand(command(terminal).copyInheritedSettings(program))

/** One line, as for every other bad input. */
function refuse(text: string): void {
  const [, message = text] = /^error: ([^]*?)\n*$/.exec(text) ?? []
  terminal.error(`ioasis: ${message.replace(/\.$/, '')}; ioasis --help shows what there is`)
}

try {
  await program.parseAsync()
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2
  else if (error instanceof CompositionError || error instanceof InputError) {
    terminal.progress('')
    terminal.error(`ioasis: ${error.message}`)
    process.exitCode = 2
  } else throw error
}
