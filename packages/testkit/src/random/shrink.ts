/** Makes a failing list shorter: what is left fails too, and nothing in it can be left out (within the budget). */

/**
 * Delta debugging by chunks, largest first.
 * @param list a list for which `fails` is true
 * @param fails runs a list from a fresh start
 * @param budget how many lists may be tried
 */
export function shrink<T>(list: readonly T[], fails: (shorter: readonly T[]) => boolean, budget = 400): readonly T[] {
  let left = list
  let tries = budget
  for (let chunk = Math.ceil(left.length / 2); chunk >= 1; chunk = chunk === 1 ? 0 : Math.ceil(chunk / 2)) {
    let again = true
    while (again) {
      again = false
      for (let at = 0; at < left.length;) {
        if (--tries < 0) return left
        const shorter = [...left.slice(0, at), ...left.slice(at + chunk)]
        if (shorter.length < left.length && fails(shorter)) {
          left = shorter
          again = chunk === 1
        } else at += chunk
      }
    }
  }
  return left
}
