// npm start, npm test and the rest on a machine that has only Node and npm: finds the pinned pnpm (npx fetches it once),
// installs what is missing, then hands the task to turbo.
import { spawnSync } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'

const [task, ...rest] = process.argv.slice(2)
const { packageManager, engines } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
const [major, minor] = process.versions.node.split('.').map(Number)
const [needMajor, needMinor] = engines.node.match(/\d+/g).map(Number)
if (major < needMajor || (major === needMajor && minor < needMinor)) {
  console.error(`Node ${engines.node} is needed, this is ${process.version}.`)
  process.exit(1)
}

// pnpm 12 is a native program that its install script puts in place; npm may be set to block such scripts.
const NPX = ['--yes', '--prefer-offline', '--ignore-scripts=false', '--allow-scripts=pnpm']

const cwd = new URL('..', import.meta.url)
const env = { ...process.env, TURBO_TELEMETRY_DISABLED: '1', TURBO_NO_UPDATE_NOTIFIER: '1', DO_NOT_TRACK: '1' }
const shell = process.platform === 'win32'
const run = (command, args, stdio = 'inherit') => spawnSync(command, args, { cwd, env, shell, stdio, encoding: 'utf8' })

const changed = (path) => statSync(new URL(`../${path}`, import.meta.url), { throwIfNoEntry: false })?.mtimeMs ?? 0
const installed = changed('node_modules/.modules.yaml') > Math.max(changed('pnpm-lock.yaml'), changed('package.json'))

const here = run('pnpm', ['--version'], ['ignore', 'pipe', 'ignore'])
const pnpm =
  here.status === 0 && `pnpm@${here.stdout.trim()}` === packageManager ? ['pnpm'] : ['npx', ...NPX, packageManager]

const steps = [['exec', 'turbo', 'run', task, ...rest]]
if (!installed) steps.unshift(['install', '--frozen-lockfile', '--prefer-offline', '--reporter=append-only'])
for (const args of steps) {
  const { status, error } = run(pnpm[0], [...pnpm.slice(1), ...args])
  if (error) console.error(error.message)
  if (status !== 0) process.exit(status ?? 1)
}
