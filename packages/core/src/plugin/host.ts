/// <reference lib="esnext.disposable" preserve="true" />
/** Composition: one container per host, set up by needs and provides, closed in reverse. */
import './reflect.ts' // stays first
import { container, type DependencyContainer } from 'tsyringe'
import { Kernel, LINUX_7_2 } from '../kernel.ts'
import { machine, type MachineOptions } from '../machine.ts'
import { type Injected, wantedBy } from './inject.ts'
import { inOrder } from './order.ts'
import { CompositionError, type Plugin, type PluginHost } from './plugin.ts'
import { isMany, nameOf, type Token } from './token.ts'

/** What a host is made of. */
export interface HostOptions {
  readonly plugins?: readonly Plugin[]
  /** Memory, CPUs and caches of the machine; default: 64 MiB, one CPU, no cache model. */
  readonly machine?: MachineOptions
  /** What differs from Linux 7.2 with iommufd, cdev and native type1. */
  readonly kernel?: Partial<Kernel>
}

/** A composed machine with its kernel. Two hosts in one process share nothing. */
export interface Host extends Disposable {
  /** @throws CompositionError when nobody provides it */
  get<T>(key: Token<T>): T
  find<T>(key: Token<T>): T | undefined
  all<T>(key: Token<T>): readonly T[]
  /** Takes the host apart in reverse order of set-up; a second call does nothing. @throws AggregateError of what failed */
  close(): void
}

/** The composition in progress and, once ready, the host itself. */
class Composition implements Host, PluginHost {
  readonly #container: DependencyContainer = container.createChildContainer()
  readonly #ready: (() => void)[] = []
  readonly #closing: (() => void)[] = []
  #plugin: Plugin | undefined
  #closed = false

  constructor(options: HostOptions) {
    this.#container.register(Kernel, { useValue: Object.freeze({ ...LINUX_7_2, ...options.kernel }) })
    try {
      for (const plugin of inOrder([machine(options.machine), ...(options.plugins ?? [])], new Set([Kernel]))) {
        this.#plugin = plugin
        plugin.setup(this)
        this.#checkProvided(plugin)
      }
      this.#plugin = undefined
      for (let action = this.#ready.shift(); action; action = this.#ready.shift()) action()
    } catch (error) {
      this.#abandon()
      throw error
    }
  }

  get<T>(key: Token<T>): T {
    if (!this.#container.isRegistered(key))
      throw new CompositionError(`${this.#who()} asks for "${nameOf(key)}"; no plug-in provides it`)
    return this.#container.resolve<T>(key)
  }
  find<T>(key: Token<T>): T | undefined {
    return this.#container.isRegistered(key) ? this.#container.resolve<T>(key) : undefined
  }
  all<T>(key: Token<T>): readonly T[] {
    return this.#container.isRegistered(key) ? this.#container.resolveAll<T>(key) : []
  }
  provide<T>(key: Token<T>, value: T): void {
    if (!this.#plugin?.provides?.includes(key)) {
      throw new CompositionError(`${this.#who()} provides "${nameOf(key)}" without declaring it`)
    }
    if (!isMany(key) && this.#container.isRegistered(key)) {
      throw new CompositionError(`${this.#who()} provides "${nameOf(key)}" twice`)
    }
    this.#container.register(key, { useValue: value })
  }
  make<T>(cls: Injected<T>): T {
    const wanted = wantedBy(cls)
    if (!wanted) throw new CompositionError(`${this.#who()} makes ${cls.name}, which declares no needs with Inject`)
    wanted.forEach((key) => this.get(key))
    return this.#container.resolve(cls as unknown as new (...args: unknown[]) => T)
  }
  onReady(action: () => void): void {
    this.#ready.push(action)
  }
  onClose(action: () => void): void {
    this.#closing.push(action)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    const errors: unknown[] = []
    for (let action = this.#closing.pop(); action; action = this.#closing.pop()) {
      try {
        action()
      } catch (error) {
        errors.push(error)
      }
    }
    this.#container.reset()
    if (errors.length > 0) throw new AggregateError(errors, `closing the host failed: ${errors.map(String).join('; ')}`)
  }
  [Symbol.dispose](): void {
    this.close()
  }

  /** Takes down what was set up. What fails on the way is a consequence: the first error is the one to tell. */
  #abandon(): void {
    try {
      this.close()
    } catch {
      return
    }
  }
  #checkProvided(plugin: Plugin): void {
    const forgotten = plugin.provides?.find((key) => !isMany(key) && !this.#container.isRegistered(key))
    if (forgotten)
      throw new CompositionError(`plug-in "${plugin.name}" declares "${nameOf(forgotten)}" but did not provide it`)
  }
  #who(): string {
    return this.#plugin ? `plug-in "${this.#plugin.name}"` : 'the host'
  }
}

/**
 * Composes a host.
 * @throws CompositionError one line naming what is missing, doubled, circular or refused by a plug-in; nothing stays behind
 */
export function createHost(options: HostOptions = {}): Host {
  return new Composition(options)
}
