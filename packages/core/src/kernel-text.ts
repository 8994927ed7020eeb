/** Numbers and switches in text that a user writes to a file of sysfs. lib/kstrtox.c. */

const NUMBER = /^\+?(?:0x([0-9a-f]+)|(0[0-7]*)|([1-9][0-9]*))\n?$/i

/**
 * As kstrtoul() with base 0: decimal, 0x hexadecimal, 0 octal, one newline behind it.
 * @param bits the number must fit in
 * @returns undefined for anything else
 */
export function unsignedText(text: string, bits: number): number | undefined {
  const [, hexadecimal, octal, decimal] = NUMBER.exec(text) ?? []
  const digits = hexadecimal ?? octal ?? decimal
  if (digits === undefined) return undefined
  const value = parseInt(digits, hexadecimal !== undefined ? 16 : octal !== undefined ? 8 : 10)
  return value < 2 ** bits ? value : undefined
}

/** As kstrtobool(): by the first letter, or `on` and `off`. @returns undefined for anything else */
export function switchText(text: string): boolean | undefined {
  if (/^(?:[yt1]|on)/i.test(text)) return true
  return /^(?:[nf0]|of)/i.test(text) ? false : undefined
}
