/** Asking those who know hardware that does not behave as its configuration space says. */
import type { PciFunction, PciQuirk } from './function.ts'

/** The first answer that is not undefined. */
export function askQuirks<T>(fn: PciFunction, ask: (quirk: PciQuirk) => T | undefined): T | undefined {
  for (const quirk of fn.quirks ?? []) {
    const answer = ask(quirk)
    if (answer !== undefined) return answer
  }
  return undefined
}
