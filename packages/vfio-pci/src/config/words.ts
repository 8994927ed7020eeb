/** Little-endian fields of bytes. */
import { get, put } from './permission.ts'

export const word = (bytes: Uint8Array, at: number): number => get(bytes, at, 2)
/** Unsigned. */
export const dword = (bytes: Uint8Array, at: number): number => get(bytes, at, 4)
export const setWord = (bytes: Uint8Array, at: number, value: number): void => put(bytes, at, 2, value)
export const setDword = (bytes: Uint8Array, at: number, value: number): void => put(bytes, at, 4, value)
