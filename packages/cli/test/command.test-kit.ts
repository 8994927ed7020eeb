/** The built command as a user runs it: a process of its own, on pipes. */
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The repository. */
export const ROOT: string = fileURLToPath(new URL('../../../', import.meta.url))
/** The built command. */
export const MAIN: string = join(ROOT, 'packages/cli/dist/main.js')
if (!existsSync(MAIN)) throw new Error('the command is not built: npm run build')

/** How a command ended. */
export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Variables that the runner of the tests may have set and that change what a command prints. */
const COLOURS = { NO_COLOR: undefined, FORCE_COLOR: undefined, NODE_OPTIONS: undefined, NODE_DISABLE_COLORS: undefined }

/** How to run it. */
export interface RunOptions {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  /** Closes its output before it writes any. */
  readonly deaf?: true
}

/** Runs Node with arguments. */
export const node = (args: readonly string[], { cwd, env, deaf }: RunOptions = {}): Promise<Ended> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, {
      cwd,
      env: { ...process.env, ...COLOURS, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    if (deaf) child.stdout.destroy()
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, stdout, stderr }))
  })

/** Runs `ioasis`. */
export const ioasis = (args: readonly string[], options?: RunOptions): Promise<Ended> => node([MAIN, ...args], options)

/** A line on stderr and exit code 2: how every command refuses bad input. */
export const refusal = (message: string): Ended => ({ code: 2, stdout: '', stderr: `ioasis: ${message}\n` })

/** A folder for a test's files; goes away with it. */
export class Folder implements Disposable {
  readonly path: string = mkdtempSync(join(tmpdir(), 'ioasis-'))

  /** Writes a file. @returns its path */
  write(name: string, text: string): string {
    const path = join(this.path, name)
    writeFileSync(path, text)
    return path
  }
  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}
