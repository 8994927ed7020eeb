import { expectTypeOf, test } from 'vitest'
import { Clock, Inject, type PluginHost, type Token, token, VirtualClock } from '../index.ts'

interface Wide {
  a: number
}
interface Narrow extends Wide {
  b: number
}
const Wide: Token<Wide> = token('test.Wide')
const Narrow: Token<Narrow> = token('test.Narrow')
declare const host: PluginHost

test('tokens are checked against constructor parameters', () => {
  @Inject(Clock)
  class Good {
    constructor(readonly clock: Clock) {}
  }

  // @ts-expect-error wrong token for the parameter
  @Inject(Wide)
  class Wrong {
    constructor(readonly clock: Clock) {}
  }

  // @ts-expect-error too few tokens
  @Inject()
  class Few {
    constructor(readonly clock: Clock) {}
  }

  // @ts-expect-error too many tokens
  @Inject(Clock, Clock)
  class Many {
    constructor(readonly clock: Clock) {}
  }

  // @ts-expect-error the parameter wants more than the token gives
  @Inject(Wide)
  class TooNarrow {
    constructor(readonly n: Narrow) {}
  }

  // @ts-expect-error the value does not implement what the token promises
  host.provide(Narrow, { a: 1 })
  expectTypeOf(Good).toBeConstructibleWith(new VirtualClock())
  void [Wrong, Few, Many, TooNarrow]
})
