/** What a step did on our host, in the notation of a trace, and how values are written in it. */

/** The same members as a recorded step. */
export interface StepOutcome {
  readonly in: Readonly<Record<string, unknown>>
  readonly ret: number | string
  readonly errno: string | null
  readonly out: Readonly<Record<string, unknown>>
  readonly signal?: string | null
}

/** 64-bit fields are hexadecimal text, smaller ones numbers. @param width bytes of the field */
export const printInteger = (value: bigint, width: number): string | number =>
  width === 8 ? hexText(value) : Number(BigInt.asUintN(8 * width, value))

/** As a 64-bit field. */
export const hexText = (value: bigint | number): string => `0x${BigInt.asUintN(64, BigInt(value)).toString(16)}`

/** A user address: null for 0, a name where the script has one, else a raw number. */
export const printPointer = (value: bigint, shown: string | undefined): string | null => {
  if (shown?.startsWith('&')) return shown
  return BigInt.asUintN(64, value) === 0n ? null : hexText(value)
}

/** A descriptor: its name where the script has one, else a signed number. */
export const printDescriptor = (value: bigint, shown: string | undefined): string | number =>
  shown?.startsWith('@') ? shown : Number(BigInt.asIntN(32, value))
