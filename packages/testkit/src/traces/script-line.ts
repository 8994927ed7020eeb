/** Takes a script line apart: `OP args… key=value… -> name=outfield … | fdname`. */

/** A line in its parts; values are still text. */
export interface ScriptLine {
  readonly op: string
  /** Words without `=`, in order. */
  readonly words: readonly string[]
  /** `key=value`, in order. */
  readonly keys: ReadonlyMap<string, string>
  /** After `->`: `name=outfield` takes an output, `name` alone the descriptor that the call returns. */
  readonly results: readonly { readonly name: string; readonly field: string | undefined }[]
}

/** @param src without comments, words separated by blanks */
export function parseScriptLine(src: string): ScriptLine {
  const [head = '', tail = ''] = src.split(/\s+->\s*/, 2)
  const [op = '', ...parts] = words(head)
  const keys = new Map<string, string>()
  const plain: string[] = []
  for (const part of parts) {
    const found = /^([A-Za-z_]\w*)=(.*)$/s.exec(part)
    if (found) keys.set(found[1] as string, found[2] as string)
    else plain.push(part)
  }
  const results = words(tail).map((word) => {
    const [name = '', field] = word.split('=', 2)
    return { name, field }
  })
  return { op, words: plain, keys, results }
}

const words = (text: string): string[] => text.split(/\s+/).filter((word) => word !== '')
