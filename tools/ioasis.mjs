// npm run -s ioasis -- ARGS: builds what changed, then runs the command in the folder it was called from.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const at = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url))
const step = (args, options) => {
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit', ...options })
  if (status !== 0) process.exit(status ?? 1)
}
if (!existsSync(at('node_modules/.modules.yaml'))) step([at('tools/run.mjs'), 'build', '--output-logs=errors-only'])
step([at('node_modules/typescript/bin/tsc'), '-b', at('packages/cli/tsconfig.build.json')])
step([at('packages/cli/dist/main.js'), ...process.argv.slice(2)], { cwd: process.env.INIT_CWD ?? process.cwd() })
