/**
 * What a scenario leaves in sysfs. The recorded scenarios of a machine ran in one boot, and a group's default domain stays as it
 * was set: who plays a later scenario alone makes the settings of those before it first.
 */
import type { TraceScenario } from './trace-file.ts'

/** A path as scripts name it, and the text that was written last. */
export interface LastingSetting {
  readonly path: string
  readonly text: string
}

/** Settings of the machine, not of a device that goes when its driver or its last user does. */
const LASTS = /^(?:grp:[^/]+\/type|\/sys\/module\/.*)$/

/** @param before scenarios in the order they were recorded @returns the last text written to each path that keeps it */
export function lastingSettings(before: readonly TraceScenario[]): readonly LastingSetting[] {
  const texts = new Map<string, string>()
  for (const { lines } of before) {
    for (const line of lines) {
      if (line.kind !== 'step' || line.op !== 'sysfs_write' || line.errno !== null) continue
      const path = String(line.in['path'])
      if (LASTS.test(path)) texts.set(path, String(line.in['text']))
    }
  }
  return [...texts].map(([path, text]) => ({ path, text }))
}
