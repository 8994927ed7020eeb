// npm start, and npm run -s ioasis -- ARGS: installs and builds what is missing, then runs the command in the folder it was
// called from. Quiet, so that the output is the command's own.
import { spawnSync } from 'node:child_process'
import { at, install } from './workspace.mjs'

const step = (args, options) => {
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit', ...options })
  if (status !== 0) process.exit(status ?? 1)
}
install()
// what the compiler has to say is not the command's output
step([at('node_modules/typescript/bin/tsc'), '-b', at('packages/cli/tsconfig.build.json')], { stdio: ['ignore', 2, 2] })
step([at('tools/bundle.mjs')], { stdio: ['ignore', 2, 2] })
step([at('packages/cli/dist/main.js'), ...process.argv.slice(2)], { cwd: process.env.INIT_CWD ?? process.cwd() })
