/** How an ioctl of a trace is printed and made. */

/** How a call is printed and made. Members are named as in traces. */
export interface IoctlOperation {
  /** The call's name in the tables, where it is not the operation's. */
  readonly call?: string
  /** What the third argument is: a struct, a plain number, a pointer to one descriptor, a pointer to text, or 0. */
  readonly argument: 'struct' | 'number' | 'descriptor' | 'text' | 'none'
  /** Members printed as input. */
  readonly in: readonly string[]
  /** Members printed as output. */
  readonly out: readonly string[]
  /** Where `data=` and `datalen=` go: behind the struct, or to where a member points, with the member that holds its length. */
  readonly payload?: 'behind' | { readonly pointer: string; readonly length?: string; readonly unit?: number }
  /** What lies in the payload afterwards; `nothing`: traces do not print it. Default: printed when it changed. */
  readonly reads?: 'data' | 'ranges' | 'capabilities' | 'nothing'
  /** Members that hold descriptors. */
  readonly descriptors?: readonly string[]
  /** Members that hold user addresses. */
  readonly pointers?: readonly string[]
  /** The result is a new descriptor. */
  readonly returnsDescriptor?: boolean
  /** Members for which scripts have several names: a trace prints the one that its script uses. */
  readonly otherNames?: Readonly<Record<string, readonly string[]>>
  /** Members that are set unless the script does: the number of a sub-operation. */
  readonly preset?: Readonly<Record<string, number>>
  /** The script's `fd=` is a member of the struct, printed in place of the descriptor of the call. */
  readonly ownFd?: boolean
}

const words = (text: string): readonly string[] => text.split(' ').filter((word) => word !== '')

/**
 * A call with a struct.
 * @param inputs members printed as input, separated by blanks
 * @param outputs likewise those that are answered
 */
export function structOperation(
  inputs: string,
  outputs = '',
  more: Omit<Partial<IoctlOperation>, 'in' | 'out' | 'argument'> = {},
): IoctlOperation {
  return { argument: 'struct', in: words(inputs), out: words(outputs), ...more }
}
