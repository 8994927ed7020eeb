/** Typed names for the parts of a host. A value and its interface share the name: `const Clock: Token<Clock> = token('Clock')`. */
declare const provided: unique symbol

/** A symbol that remembers, for the type checker only, what it stands for. */
export type Token<T> = symbol & { readonly [provided]: T }

const ONE = 'ioasis:'
const MANY = 'ioasis[]:'

/** Names a part of which a host has at most one. `Symbol.for`: two copies of a package agree on the key. */
export const token = <T>(name: string): Token<T> => Symbol.for(ONE + name) as Token<T>

/** Names a part of which a host may have any number: units, vfio drivers, audit claims. Read with `all`. */
export const tokens = <T>(name: string): Token<T> => Symbol.for(MANY + name) as Token<T>

/** Whether the token was made by `tokens`. */
export const isMany = (key: Token<unknown>): boolean => (key.description ?? '').startsWith(MANY)

/** The name a token was made with, for messages. */
export const nameOf = (key: Token<unknown>): string => (key.description ?? '').replace(/^[^:]*:/, '')
