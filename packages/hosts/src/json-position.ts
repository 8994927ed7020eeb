/** Finds where a JSON text stops being JSON: engines word their errors differently, and not all tell the place. */

const SPACE = /[ \t\n\r]*/y
const LITERAL = /true|false|null/y
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const STRING = /"(?:[ !#-[\]-\uffff]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y

/** A place in a text, counted from 1. */
export interface Position {
  readonly line: number
  readonly column: number
}

/** @returns the first place where `text` is not JSON; undefined when it is */
export function jsonError(text: string): Position | undefined {
  const scanner = new Scanner(text)
  if (scanner.value() && scanner.atEnd()) return undefined
  const before = text.slice(0, scanner.at).split('\n')
  return { line: before.length, column: (before.at(-1) as string).length + 1 }
}

class Scanner {
  at = 0
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }
  /** Whether a value stands here; `at` is then behind it, else where it went wrong. */
  value(): boolean {
    this.#take(SPACE)
    const first = this.#text[this.at]
    if (first === '{') return this.#list('}', () => this.#member())
    if (first === '[') return this.#list(']', () => this.value())
    return this.#take(first === '"' ? STRING : first === undefined || !/[-\d]/.test(first) ? LITERAL : NUMBER)
  }
  atEnd(): boolean {
    this.#take(SPACE)
    return this.at === this.#text.length
  }
  #list(close: string, item: () => boolean): boolean {
    this.at++
    this.#take(SPACE)
    if (this.#char(close)) return true
    for (;;) {
      if (!item()) return false
      this.#take(SPACE)
      if (this.#char(close)) return true
      if (!this.#char(',')) return false
    }
  }
  #member(): boolean {
    this.#take(SPACE)
    if (!this.#take(STRING)) return false
    this.#take(SPACE)
    return this.#char(':') && this.value()
  }
  #char(c: string): boolean {
    if (this.#text[this.at] !== c) return false
    this.at++
    return true
  }
  #take(token: RegExp): boolean {
    token.lastIndex = this.at
    const m = token.exec(this.#text)
    if (!m) return false
    this.at = token.lastIndex
    return true
  }
}
