/** Something done each time a user signals an event counter. drivers/vfio/virqfd.c. */
import { type EventFd, POLL } from '@ioasis/core'

/**
 * Takes what is signalled and acts on it, now if something is, and from now on; a counter whose last descriptor is gone is let go.
 * An action that signals the counter itself would run for ever, in Linux as one work item after the other (virqfd_wakeup): here it
 * runs once, and what it signalled is taken.
 * @returns stops
 */
export function watchEvent(event: EventFd, action: () => void): () => void {
  let stopped = false
  let acting = false
  const take = (): void => {
    if (stopped || event.count === 0n) return
    event.take()
    if (acting) return
    acting = true
    try {
      action()
    } finally {
      acting = false
    }
  }
  const stop = event.waitQueue.listen((ready) => {
    if (ready & POLL.HUP) end()
    else if (ready & POLL.IN) take()
  })
  const end = (): void => {
    stopped = true
    stop()
  }
  take()
  return end
}
