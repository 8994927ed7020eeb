/** The one class decorator: names a constructor's tokens, and lets the compiler check them against its parameters. */
import './reflect.ts' // stays first
import { inject, injectable } from 'tsyringe'
import type { Token } from './token.ts'

type Tokens = readonly Token<unknown>[]
/** A class whose constructor was declared with `Inject`. */
export type Injected<T> = new (...args: never[]) => T
type Provided<D extends Tokens> = { -readonly [K in keyof D]: D[K] extends Token<infer T> ? T : never }

/** Never inhabited: only there so that the compiler's message shows both lists. */
export interface TokensDoNotFit<Given, Wanted> {
  readonly given: Given
  readonly wanted: Wanted
}

const WANTED = 'ioasis:wanted'

/**
 * Declares what a class wants: `@Inject(HostMemory, Clock) class Unit { constructor(memory: HostMemory, clock: Clock) {} }`.
 * Works in both decorator modes and as a plain call, `Inject(Clock)(Thing)`, where the loader only strips types.
 * @param wanted one token for each constructor parameter, in order; a wrong list is a compile error
 */
export function Inject<const D extends Tokens>(...wanted: D) {
  return <C extends Injected<unknown>>(
    cls: C &
      (Provided<D> extends ConstructorParameters<C> ? unknown : TokensDoNotFit<Provided<D>, ConstructorParameters<C>>),
    _context?: unknown,
  ): void => {
    const target = cls as unknown as new (...args: unknown[]) => unknown
    Reflect.defineMetadata(
      'design:paramtypes',
      wanted.map(() => Object),
      target,
    )
    Reflect.defineMetadata(WANTED, wanted, target)
    wanted.forEach((key, i) => {
      inject(key)(target, undefined, i)
    })
    injectable()(target)
  }
}

/** The tokens a class declared with `Inject`; undefined when it declared none. */
export const wantedBy = (cls: Injected<unknown>): Tokens | undefined =>
  Reflect.getMetadata(WANTED, cls) as Tokens | undefined
