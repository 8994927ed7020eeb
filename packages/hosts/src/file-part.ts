/** Reads parsed JSON piece by piece; what does not fit is refused with a line that names the piece, the value and the rule. */
import { CompositionError } from '@ioasis/core'

/** An object of the file that knows how it is called in messages. Each reader refuses what is missing or of another kind. */
export class Part {
  readonly name: string
  readonly value: Readonly<Record<string, unknown>>

  /** @param called in messages, which are one line whatever stands in the file */
  constructor(called: string, value: unknown) {
    const name = called.replaceAll(/\s+/g, ' ')
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new CompositionError(`${name}: ${show(value)} is not an object`)
    }
    this.name = name
    this.value = value as Readonly<Record<string, unknown>>
  }
  refuse(key: string, value: unknown, rule: string): never {
    throw new CompositionError(`${this.name}: "${key}" is ${show(value)}; ${rule}`)
  }
  text(key: string): string {
    const value = this.#get(key)
    return typeof value === 'string' ? value : this.refuse(key, value, 'a string is needed')
  }
  number(key: string): number {
    const value = this.#get(key)
    return Number.isInteger(value) ? (value as number) : this.refuse(key, value, 'a whole number is needed')
  }
  list(key: string): readonly Part[] {
    return this.#array(key).map((v, i) => new Part(`${this.name}: ${key}[${i}]`, v))
  }
  texts(key: string): readonly string[] {
    const value = this.#array(key)
    value.forEach((v) => typeof v === 'string' || this.refuse(key, v, 'strings are needed'))
    return value as readonly string[]
  }
  rows(key: string): readonly (readonly unknown[])[] {
    return this.#array(key).map((v) => (Array.isArray(v) ? v : this.refuse(key, v, 'a list of three is needed')))
  }
  table(key: string): Readonly<Record<string, string>> {
    const part = new Part(`${this.name}: ${key}`, this.#get(key))
    Object.keys(part.value).forEach((k) => part.text(k))
    return part.value as Readonly<Record<string, string>>
  }
  bytes(key: string, digits: string): Uint8Array {
    if (!/^(?:[0-9a-f]{2})*$/i.test(digits)) this.refuse(key, digits, 'hexadecimal digits in pairs are needed')
    return Uint8Array.from({ length: digits.length / 2 }, (_, i) => parseInt(digits.slice(2 * i, 2 * i + 2), 16))
  }
  #get(key: string): unknown {
    if (!Object.hasOwn(this.value, key)) throw new CompositionError(`${this.name}: "${key}" is missing`)
    return this.value[key]
  }
  #array(key: string): readonly unknown[] {
    const value = this.#get(key)
    return Array.isArray(value) ? value : this.refuse(key, value, 'a list is needed')
  }
}

/** A value for a message: never long. */
function show(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing'
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}
