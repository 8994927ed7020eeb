import { expect, test } from 'vitest'
import {
  CompositionError,
  createHost,
  Inject,
  Kernel,
  type Plugin,
  type PluginHost,
  type Token,
  token,
  tokens,
} from '../index.ts'

interface Greeter {
  hi(): string
}
const Greeter: Token<Greeter> = token('test.Greeter')
const Name: Token<string> = token('test.Name')
const Listener: Token<string> = tokens('test.Listener')

@Inject(Name)
class English implements Greeter {
  readonly #who: string
  constructor(who: string) {
    this.#who = who
  }
  hi(): string {
    return `hello ${this.#who}`
  }
}

const plugin = (name: string, rest: Partial<Plugin> & { setup?: (host: PluginHost) => void }): Plugin => ({
  name,
  contract: 1,
  setup: () => {},
  ...rest,
})
const named = (who: string): Plugin =>
  plugin('name', {
    provides: [Name],
    setup: (host) => {
      host.provide(Name, who)
    },
  })
const greeting = plugin('greeting', {
  needs: [Name],
  provides: [Greeter],
  setup: (host) => {
    host.provide(Greeter, host.make(English))
  },
})

test('sets plug-ins up by what they need, whatever their order in the list', () => {
  const host = createHost({ plugins: [greeting, named('ada')] })
  expect(host.get(Greeter).hi()).toBe('hello ada')
  host.close()
})

test('two hosts share nothing', () => {
  const one = createHost({ plugins: [named('ada'), greeting] })
  const two = createHost({ plugins: [named('grace'), greeting], kernel: { pageSize: 65536 } })
  expect([one.get(Greeter).hi(), two.get(Greeter).hi()]).toEqual(['hello ada', 'hello grace'])
  expect([one.get(Kernel).pageSize, two.get(Kernel).pageSize]).toEqual([4096, 65536])
  one.close()
  expect(two.get(Greeter).hi()).toBe('hello grace')
  two.close()
})

test('names the plug-in and the token that is missing', () => {
  expect(() => createHost({ plugins: [greeting] })).toThrow(
    new CompositionError('plug-in "greeting" needs "test.Name"; no plug-in provides it'),
  )
})

test('names the circle when plug-ins need each other', () => {
  const a = plugin('a', { needs: [Name], provides: [Greeter] })
  const b = plugin('b', { needs: [Greeter], provides: [Name] })
  expect(() => createHost({ plugins: [a, b] })).toThrow('plug-ins need each other in a circle: a -> b -> a')
})

test('refuses two providers of one part, and collects those of many', () => {
  expect(() => createHost({ plugins: [named('ada'), plugin('other', { provides: [Name] })] })).toThrow(
    '"test.Name" is provided more than once: by "name" and "other"',
  )
  const listener = (name: string): Plugin =>
    plugin(name, {
      provides: [Listener],
      setup: (host) => {
        host.provide(Listener, name)
      },
    })
  const host = createHost({ plugins: [listener('x'), listener('y')] })
  expect(host.all(Listener)).toEqual(['x', 'y'])
  host.close()
})

test('refuses a doubled name, another contract, and a part that was declared but not provided', () => {
  expect(() => createHost({ plugins: [named('a'), named('b')] })).toThrow('plug-in "name" is listed twice')
  expect(() => createHost({ plugins: [{ ...named('a'), contract: 2 as unknown as 1 }] })).toThrow('speaks contract 2')
  expect(() => createHost({ plugins: [plugin('lazy', { provides: [Name] })] })).toThrow(
    'plug-in "lazy" declares "test.Name" but did not provide it',
  )
})

test('refuses a part that was not declared, and a class that declares no needs', () => {
  const sneaky = plugin('sneaky', {
    setup: (host) => {
      host.provide(Name, 'x')
    },
  })
  expect(() => createHost({ plugins: [sneaky] })).toThrow('plug-in "sneaky" provides "test.Name" without declaring it')
  class Bare {
    readonly needs = 'nothing it told of'
  }
  const maker = plugin('maker', {
    setup: (host) => {
      host.make(Bare)
    },
  })
  expect(() => createHost({ plugins: [maker] })).toThrow(
    'plug-in "maker" makes Bare, which declares no needs with Inject',
  )
})

test('takes everything down in reverse when a plug-in fails, and keeps the first error', () => {
  const log: string[] = []
  const closing = (name: string): Plugin =>
    plugin(name, {
      setup: (host) => {
        host.onClose(() => log.push(name))
      },
    })
  const failing = plugin('failing', {
    setup: () => {
      throw new Error('boom')
    },
  })
  expect(() => createHost({ plugins: [closing('a'), closing('b'), failing] })).toThrow('boom')
  expect(log).toEqual(['b', 'a'])
})

test('tells the first error even when taking down fails, too', () => {
  const stuck = plugin('stuck', {
    setup: (host) => {
      host.onClose(() => {
        throw new Error('stuck')
      })
      throw new Error('boom')
    },
  })
  expect(() => createHost({ plugins: [stuck] })).toThrow('boom')
})

test('runs what waits for the boot after every set-up, and closes once', () => {
  const log: string[] = []
  const late = plugin('late', {
    setup: (host) => {
      host.onReady(() => log.push('ready'))
      host.onClose(() => log.push('closed'))
      log.push('set up')
    },
  })
  const host = createHost({
    plugins: [
      late,
      plugin('after', {
        setup: () => {
          log.push('after')
        },
      }),
    ],
  })
  host.close()
  host.close()
  expect(log).toEqual(['set up', 'after', 'ready', 'closed'])
})

test('closes the rest when one part fails to close', () => {
  const log: string[] = []
  const host = createHost({
    plugins: [
      plugin('one', {
        setup: (h) => {
          h.onClose(() => log.push('one'))
        },
      }),
      plugin('two', {
        setup: (h) => {
          h.onClose(() => {
            throw new Error('stuck')
          })
        },
      }),
    ],
  })
  expect(() => {
    host.close()
  }).toThrow('closing the host failed: Error: stuck')
  expect(log).toEqual(['one'])
})
