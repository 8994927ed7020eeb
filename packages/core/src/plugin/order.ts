/** Orders plug-ins by what they need and provide. */
import { CompositionError, type Plugin } from './plugin.ts'
import { isMany, nameOf, type Token } from './token.ts'

const quote = (plugins: readonly Plugin[]): string => plugins.map((p) => `"${p.name}"`).join(' and ')

function check(plugins: readonly Plugin[], present: ReadonlySet<Token<unknown>>): Map<Token<unknown>, Plugin[]> {
  const providers = new Map<Token<unknown>, Plugin[]>()
  const names = new Set<string>()
  for (const plugin of plugins) {
    if (plugin.contract !== 1) {
      throw new CompositionError(`plug-in "${plugin.name}" speaks contract ${String(plugin.contract)}, this host 1`)
    }
    if (names.has(plugin.name)) throw new CompositionError(`plug-in "${plugin.name}" is listed twice`)
    names.add(plugin.name)
    for (const key of plugin.provides ?? []) providers.set(key, [...(providers.get(key) ?? []), plugin])
  }
  for (const [key, by] of providers) {
    if (isMany(key) || (by.length === 1 && !present.has(key))) continue
    throw new CompositionError(
      `"${nameOf(key)}" is provided more than once: by ${quote(by)}${present.has(key) ? ' and the host itself' : ''}`,
    )
  }
  for (const plugin of plugins) {
    const missing = plugin.needs?.find((key) => !isMany(key) && !providers.has(key) && !present.has(key))
    if (missing) {
      throw new CompositionError(`plug-in "${plugin.name}" needs "${nameOf(missing)}"; no plug-in provides it`)
    }
  }
  return providers
}

/**
 * @param plugins in the order the user listed them, which is kept where needs allow
 * @param present tokens the host provides itself
 * @returns the order of set-up
 * @throws CompositionError for a missing or doubled token, a doubled name, a cycle (named), another contract
 */
export function inOrder(plugins: readonly Plugin[], present: ReadonlySet<Token<unknown>>): Plugin[] {
  const providers = check(plugins, present)
  const done = new Set<Plugin>()
  const path: Plugin[] = []
  const visit = (plugin: Plugin): void => {
    if (done.has(plugin)) return
    if (path.includes(plugin)) {
      const loop = [...path.slice(path.indexOf(plugin)), plugin].map((p) => p.name)
      throw new CompositionError(`plug-ins need each other in a circle: ${loop.join(' -> ')}`)
    }
    path.push(plugin)
    for (const key of plugin.needs ?? []) for (const by of providers.get(key) ?? []) if (by !== plugin) visit(by)
    path.pop()
    done.add(plugin)
  }
  plugins.forEach(visit)
  return [...done]
}
