/** Selection of cases on a command line: `--group NAME` or `--group NAME/GLOB`. */

/**
 * Whether a case is selected.
 * @param patterns `legacy-walk` takes a whole group, `five-level/legacy-*` the cases of it that match; both parts may hold
 * `*` and `?`. None given: every case
 */
export function selected(
  hwCase: { readonly group: string; readonly name: string },
  patterns: readonly string[] = [],
): boolean {
  return (
    patterns.length === 0 ||
    patterns.some((p) => glob(p.includes('/') ? p : `${p}/*`).test(`${hwCase.group}/${hwCase.name}`))
  )
}

function glob(pattern: string): RegExp {
  const body = pattern
    .replaceAll(/[.+^${}()|[\]\\]/g, String.raw`\$&`)
    .replaceAll('*', '.*')
    .replaceAll('?', '.')
  return new RegExp(`^${body}$`)
}
