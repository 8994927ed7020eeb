/** Something done each time a user signals an event counter. drivers/vfio/virqfd.c. */
import { type EventFd, POLL } from '@ioasis/core'

/**
 * Takes what is signalled and acts on it, now if something is, and from now on; a counter whose last descriptor is gone is let go.
 * @returns stops
 */
export function watchEvent(event: EventFd, action: () => void): () => void {
  let stopped = false
  const take = (): void => {
    if (stopped || event.count === 0n) return
    event.take()
    action()
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
