/** What a host holds, in numbers: equal before and after whatever leaves nothing behind. */
import { type Host, IommuGroups, Pages, Processes, type SystemCalls, UserFrames } from '@ioasis/core'

/** Numbers by name. */
export type HostCounters = Readonly<Record<string, number>>

/** What is held on behalf of everybody. */
export function hostCounters(host: Host): HostCounters {
  const frames = host.get(UserFrames)
  const groups = host.find(IommuGroups)?.groups ?? []
  return {
    'bytes of tables': host.get(Pages).allocated - frames.allocated,
    'bytes of processes': frames.allocated,
    'pinned pages': frames.pinned,
    'owned groups': groups.filter((group) => group.owner !== undefined).length,
    groups: groups.length,
    processes: host.get(Processes).all.length,
  }
}

/** The same, and what one process holds. */
export function processCounters(host: Host, { process, fds }: SystemCalls): HostCounters {
  const { addressSpace, user } = process
  return {
    ...withoutMemory(hostCounters(host)),
    descriptors: fds.all.length,
    'locked pages': addressSpace.locked.pages,
    'pages pinned for devices': addressSpace.pinnedPages,
    'locked pages of the user': user.locked.pages,
  }
}

/** @returns each number that changed, in words */
export const countersThatChanged = (before: HostCounters, after: HostCounters): readonly string[] =>
  Object.keys(after).flatMap((name) =>
    before[name] === after[name] ? [] : [`${name}: ${before[name]} before, ${after[name]} after`],
  )

/** Memory that a process touched stays with it. */
function withoutMemory(counters: HostCounters): HostCounters {
  const { 'bytes of processes': _, ...others } = counters
  return others
}
