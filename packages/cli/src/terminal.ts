/** What a person sees: colours only on a terminal, tables, a progress line that cleans up after itself. */
import { styleText } from 'node:util'

/** Where text goes; the commands never touch `process.stdout` themselves. */
export interface Terminal {
  /** Prints one line. */
  line(text?: string): void
  /** Prints one line on the error stream. */
  error(text: string): void
  /** Replaces the progress line; nothing on a pipe. An empty text removes it. */
  progress(text: string): void
  readonly style: Style
}

/** Styles by meaning; each gives the text back as it is where there are no colours. */
export interface Style {
  title(text: string): string
  good(text: string): string
  bad(text: string): string
  dim(text: string): string
  key(text: string): string
}

type Format = Parameters<typeof styleText>[0]
const styled = (on: boolean): Style => {
  const as = (format: Format) => (text: string) => (on ? styleText(format, text) : text)
  return { title: as(['bold', 'underline']), good: as('green'), bad: as('red'), dim: as('gray'), key: as('cyan') }
}

const wantsColour = (stream: NodeJS.WriteStream): boolean =>
  process.env['NO_COLOR'] === undefined && (stream.isTTY || (process.env['FORCE_COLOR'] ?? '0') !== '0')

/** The terminal of this process. */
export function processTerminal(): Terminal {
  const clear = (): void => {
    if (process.stderr.isTTY) process.stderr.write('\r\u001B[K')
  }
  return {
    line: (text = '') => {
      process.stdout.write(`${text}\n`)
    },
    error: (text) => {
      clear()
      process.stderr.write(`${text}\n`)
    },
    progress: (text) => {
      clear()
      if (process.stderr.isTTY) process.stderr.write(text)
    },
    style: styled(wantsColour(process.stdout)),
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

/** Bytes as 16 to a line with their offset: what a CPU reads. */
export function hexDump(bytes: Uint8Array, base = 0): string[] {
  const lines: string[] = []
  for (let i = 0; i < bytes.length; i += 16) {
    const part = [...bytes.subarray(i, i + 16)].map((b) => b.toString(16).padStart(2, '0')).join(' ')
    lines.push(`${(base + i).toString(16).padStart(8, '0')}  ${part}`)
  }
  return lines
}

/** JSON with bigints as hexadecimal strings, two blanks deep. */
export const toJson = (value: unknown): string =>
  JSON.stringify(value, (_key, v: unknown) => (typeof v === 'bigint' ? `0x${v.toString(16)}` : v), 2)
