/** What the page can make the broker do. Each names what it means before it is done. */
import type { Api } from '../api/api.ts'
import { segment } from '../api/api.ts'
import type { Action } from '../page/actions.tsx'
import type { Live } from '../state/live.ts'
import { bytes, count } from '../text/units.ts'
import { visible } from '../text/visible.ts'

interface Parts {
  readonly api: Api
  readonly live: Live
}

export type UpstreamCommand = 'pause' | 'resume' | 'now'

const UPSTREAM_TEXTS: Readonly<Record<UpstreamCommand, Pick<Action, 'verb' | 'text'> & { past: string }>> = {
  pause: {
    verb: 'Pause',
    text: 'Nothing goes over its link until it is resumed. Ingest goes on, and the log keeps what it has not got yet as far as retention and the disk allow.',
    past: 'is paused.',
  },
  resume: {
    verb: 'Resume',
    text: 'It goes on from the position that it has acknowledged.',
    past: 'goes on.',
  },
  now: {
    verb: 'Send now',
    text: 'It tries at once, whatever its backoff says, and sends all that waits, whatever its schedule says.',
    past: 'sends all that waits.',
  },
}

const DOWNLINK_TEXTS: typeof UPSTREAM_TEXTS = {
  pause: {
    verb: 'Pause',
    text: 'Nothing of its topic is delivered until it is resumed; it goes on there then.',
    past: 'is paused.',
  },
  resume: { verb: 'Resume', text: 'It goes on where it was.', past: 'goes on.' },
  now: { verb: 'Try now', text: 'It tries at once, whatever its backoff says.', past: 'tries.' },
}

export type LinkKind = 'upstream' | 'downlink'

export function upstreamCommand(
  { api, live }: Parts,
  { name, kind }: { name: string; kind: LinkKind },
  command: UpstreamCommand,
): Action {
  const { verb, text, past } = (kind === 'upstream' ? UPSTREAM_TEXTS : DOWNLINK_TEXTS)[command]
  const shown = visible(name)
  return {
    title: command === 'now' ? `${verb}: ${shown}?` : `${verb} ${shown}?`,
    text,
    verb,
    done: `${shown} ${past}`,
    run: async () => {
      await api.post(`api/v1/upstreams/${segment(name)}/${command}`)
      await live.refresh()
    },
  }
}

export function disconnection({ api, live }: Parts, clientId: string): Action {
  const shown = visible(clientId)
  return {
    title: `Disconnect ${shown}?`,
    text: 'Its connection ends, with MQTT 5 it is told why. Most clients connect again by themselves; to keep one out, remove its user or its permissions.',
    verb: 'Disconnect',
    isDangerous: true,
    done: `${shown} was disconnected.`,
    run: async () => {
      await api.post('api/v1/clients/disconnect', { clientId })
      await live.refresh()
    },
  }
}

interface CompactionLine {
  readonly progress?: { readonly bytesDone: number; readonly bytesTotal: number }
  readonly report?: readonly { readonly recordsRemoved: number }[]
}

export function compaction({ api, live }: Parts, stream: string): Action {
  const shown = visible(stream)
  return {
    title: `Compact ${shown}?`,
    text: 'Older records of each key are removed now and not at the next scheduled time; the newest one of each stays. It writes what stays once more.',
    verb: 'Compact',
    done: `${shown} is compacted.`,
    run: async (tell) => {
      const never = new AbortController().signal
      for await (const lines of api.lines<CompactionLine>(
        'POST',
        `api/v1/streams/${segment(stream)}/compact`,
        {},
        never,
      )) {
        const { progress, report } = lines.at(-1)!
        if (progress) tell(`${bytes(progress.bytesDone)} of ${bytes(progress.bytesTotal)}`)
        if (report)
          tell(
            `${count(report.reduce((sum, { recordsRemoved }) => sum + recordsRemoved, 0))} records removed`,
          )
      }
      await live.refresh()
    },
  }
}
