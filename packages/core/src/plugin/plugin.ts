/** What a package contributes to a host. */
import type { Injected } from './inject.ts'
import type { Token } from './token.ts'

/**
 * A plain value that a package's one exported function returns, e.g. `intelIommu(options)`. Importing the package does
 * nothing; only `createHost({ plugins })` runs `setup`.
 */
export interface Plugin {
  /** Unique within a host: the package's name, with the instance where several make sense (`edu 00:01.0`). */
  readonly name: string
  /** The version of this contract. */
  readonly contract: 1
  /** Tokens some plug-in must have provided before `setup` runs; for a `tokens` key: all who provide it ran before. */
  readonly needs?: readonly Token<unknown>[]
  /** Tokens `setup` provides. */
  readonly provides?: readonly Token<unknown>[]
  /** Composes. Called once per host, in the order of needs and provides, then of the list. */
  setup(host: PluginHost): void
}

/** A host as a plug-in sees it while composing. */
export interface PluginHost {
  /** @throws CompositionError when nobody provides it */
  get<T>(key: Token<T>): T
  /** The value, or undefined when no plug-in provides it: for a part one can do without. */
  find<T>(key: Token<T>): T | undefined
  /** Everything provided so far for a `tokens` key. */
  all<T>(key: Token<T>): readonly T[]
  /** @throws CompositionError when the plug-in did not declare the token, or a `token` key is provided twice */
  provide<T>(key: Token<T>, value: T): void
  /** Builds a class declared with `Inject`. @throws CompositionError naming the token that is missing */
  make<T>(cls: Injected<T>): T
  /** Runs once every plug-in is set up, in the order of registration: the moment the machine boots. */
  onReady(action: () => void): void
  /** Runs when the host closes, in the reverse order of registration. */
  onClose(action: () => void): void
}

/** A host that cannot be composed: one line naming the plug-in or file, the value and the rule. Nothing stays behind. */
export class CompositionError extends Error {
  override readonly name = 'CompositionError'
}
