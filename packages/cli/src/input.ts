/** Files and values that a user names on the command line. */
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { jsonError } from '@ioasis/hosts'

/** Bad input: one line naming the file or value and the rule. */
export class InputError extends Error {
  override readonly name = 'InputError'
}

/** The text of a file; one that ends in `.gz` is unpacked. @throws InputError when it cannot be read */
export function readText(path: string | URL): string {
  try {
    const bytes = readFileSync(path)
    return (String(path).endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8')
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    throw new InputError(`${String(path)}: ${UNREADABLE[code ?? ''] ?? message}`)
  }
}

const UNREADABLE: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  EISDIR: 'this is a folder; a file is needed',
  EACCES: 'not readable: permission denied',
  Z_BUF_ERROR: 'the compressed file is cut',
}

/** What a JSON file holds. @throws InputError naming file, line and column when it cannot be read or is not JSON */
export function readJson(path: string): unknown {
  const text = readText(path)
  try {
    return JSON.parse(text)
  } catch {
    const { line, column } = jsonError(text) ?? { line: 1, column: 1 }
    throw new InputError(`${path}:${line}:${column}: not JSON`)
  }
}

const UNITS: Readonly<Record<string, bigint>> = { '': 1n, k: 1n << 10n, m: 1n << 20n, g: 1n << 30n }

/** `0x1000`, `4096`, `2M`. @throws InputError naming `what` */
export function parseSize(text: string, what: string): bigint {
  const m = /^(0x[0-9a-f]+|[0-9]+)([kmg]?)$/i.exec(text)
  const value = m ? BigInt(m[1] as string) * (UNITS[(m[2] as string).toLowerCase()] as bigint) : undefined
  if (value === undefined || value >> 64n !== 0n) {
    throw new InputError(`${what}: "${text}" is not a number of at most 64 bits such as 0x1000, 4096 or 2M`)
  }
  return value
}
