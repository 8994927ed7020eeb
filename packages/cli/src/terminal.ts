/** What a person sees: colours only on a terminal, tables, a progress line that cleans up after itself. */
import { styleText } from 'node:util'

/** Where text goes; the commands never touch `process.stdout` themselves. */
export interface Terminal {
  /** Prints one line. */
  readonly line: (text?: string) => void
  /** Prints one line on the error stream. */
  readonly error: (text: string) => void
  /** Replaces the progress line; nothing on a pipe. An empty text removes it. */
  readonly progress: (text: string) => void
  readonly style: Style
}

/** Styles by meaning; each gives the text back as it is where there are no colours. */
export interface Style {
  readonly title: (text: string) => string
  readonly good: (text: string) => string
  readonly bad: (text: string) => string
  readonly dim: (text: string) => string
  readonly key: (text: string) => string
}

type Format = Parameters<typeof styleText>[0]
/** The styles of a stream. @param on with colours */
export const styleOf = (on: boolean): Style => {
  // whether the stream takes colours is decided here; Node's own look at stdout would decide otherwise
  const as = (format: Format) => (text: string) => (on ? styleText(format, text, { validateStream: false }) : text)
  return { title: as(['bold', 'underline']), good: as('green'), bad: as('red'), dim: as('gray'), key: as('cyan') }
}

/**
 * Whether text that goes to a stream is coloured: on a terminal, or where FORCE_COLOR says so (`0` and `false` do not);
 * never where NO_COLOR is set to anything.
 */
export const wantsColour = (env: Readonly<Record<string, string | undefined>>, isTerminal: boolean): boolean => {
  if (env['NO_COLOR']) return false
  const forced = env['FORCE_COLOR']
  return forced === undefined ? isTerminal : forced !== '0' && forced !== 'false'
}

const clearProgress = (): void => {
  if (process.stderr.isTTY) process.stderr.write('\r\u001B[K')
}

/** The terminal of this process. */
export function processTerminal(): Terminal {
  return {
    line: (text = '') => {
      process.stdout.write(`${text}\n`)
    },
    error: (text) => {
      clearProgress()
      process.stderr.write(`${oneLine(text)}\n`)
    },
    progress: (text) => {
      clearProgress()
      if (process.stderr.isTTY) process.stderr.write(text)
    },
    style: styleOf(wantsColour(process.env, process.stdout.isTTY)),
  }
}

/** Columns padded to their widest cell; the first row is the head. Cells must not hold colours. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = []
  for (const row of rows) row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, cell.length)))
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}

/** A message may quote what stands in a file: nothing of it may move the cursor. */
// oxlint-disable-next-line no-control-regex
const oneLine = (text: string): string => text.replaceAll(/[\u0000-\u001F\u007F-\u009F]+/g, ' ')

/**
 * Bytes as 16 to a line with their offset: what a CPU reads.
 * @param base offset of the first byte
 * @param text show them as characters as well, as `hexdump -C` does
 */
export function hexDump(bytes: Uint8Array, base = 0, text = false): string[] {
  const lines: string[] = []
  for (let i = 0; i < bytes.length; i += 16) {
    const part = [...bytes.subarray(i, i + 16)]
    const digits = part.map((b) => b.toString(16).padStart(2, '0')).join(' ')
    const characters = text ? `  |${part.map(printable).join('')}|` : ''
    lines.push(`${(base + i).toString(16).padStart(8, '0')}  ${digits}${characters}`)
  }
  return lines
}

const printable = (byte: number): string => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')

/** JSON with bigints as hexadecimal strings, two blanks deep. */
export const toJson = (value: unknown): string =>
  JSON.stringify(value, (_key, v: unknown) => (typeof v === 'bigint' ? `0x${v.toString(16)}` : v), 2)
