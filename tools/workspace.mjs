// What the other tools start from on a machine that has only Node and npm: the pinned pnpm (npx fetches it once), and an
// installed workspace.
import { spawnSync } from 'node:child_process'
import { readFileSync, statSync, utimesSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** The path of something in this repository. */
export const at = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url))

const { packageManager, engines } = JSON.parse(readFileSync(at('package.json'), 'utf8'))
const env = { ...process.env, TURBO_TELEMETRY_DISABLED: '1', TURBO_NO_UPDATE_NOTIFIER: '1', DO_NOT_TRACK: '1' }
const shell = process.platform === 'win32'
const spawn = (command, args, stdio) => spawnSync(command, args, { cwd: at(''), env, shell, stdio, encoding: 'utf8' })

const [major, minor] = process.versions.node.split('.').map(Number)
const [needMajor, needMinor] = engines.node.match(/\d+/g).map(Number)
if (major < needMajor || (major === needMajor && minor < needMinor)) {
  console.error(`Node ${engines.node} is needed, this is ${process.version}.`)
  process.exit(1)
}

// pnpm 12 is a native program that its install script puts in place; npm may be set to block such scripts.
const NPX = ['--yes', '--prefer-offline', '--ignore-scripts=false', '--allow-scripts=pnpm']

/** Runs the pinned pnpm; ends this process when it fails. */
export function pnpm(...args) {
  const here = spawn('pnpm', ['--version'], ['ignore', 'pipe', 'ignore'])
  const found = here.status === 0 && `pnpm@${here.stdout.trim()}` === packageManager
  const [command, ...first] = found ? ['pnpm'] : ['npx', ...NPX, packageManager]
  const { status, error } = spawn(command, [...first, ...args], 'inherit')
  if (error) console.error(error.message)
  if (status !== 0) process.exit(status ?? 1)
}

const INSTALLED = at('node_modules/.modules.yaml')
const changed = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0

/** Installs the workspace unless it is installed as package.json and the lock file say. */
export function install() {
  if (changed(INSTALLED) > Math.max(changed(at('pnpm-lock.yaml')), changed(at('package.json')))) return
  pnpm('install', '--frozen-lockfile', '--prefer-offline', '--reporter=append-only')
  utimesSync(INSTALLED, new Date(), new Date())
}
