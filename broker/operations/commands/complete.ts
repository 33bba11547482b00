/** Answers a shell that completes a command line: quickly, and without a word where something is wrong. */
import type { Command } from 'commander'
import type { ClientStatus } from '../../mqtt/connection/client-status.ts'
import { ControlClient } from '../control/control-client.ts'
import type { StreamReport, UpstreamStatus } from '../operations.ts'
import { type Answer, answerText } from '../terminal/completion/scripts.ts'
import { type NamesOf, type Suggestion, suggest } from '../terminal/completion/suggest.ts'
import { bytes, count } from '../terminal/units.ts'
import { type CommandContext, dataDirectoryOf } from './context.ts'

/** A person waits at the keyboard; a device that is busy answers all the same. */
const ANSWER_MS_MAX = 4000
const NAMES_MAX = 1000

/** @param words after the program's name; the last one is being typed */
export async function completeWords(
  context: CommandContext,
  program: Command,
  words: readonly string[],
): Promise<void> {
  const { suggested, located } = suggest(program, words)
  const answer: Answer =
    suggested.kind === 'names'
      ? { kind: 'words', words: (await namesOf(context, suggested.of, located)).filter(isArgument) }
      : suggested.kind === 'words'
        ? suggested
        : { kind: suggested.kind, words: [] }
  context.out.raw(answerText(answer, words.at(-1) ?? ''))
}

/** A client may call itself `--yes`: where its name stands alone, the program would take it for an option. */
function isArgument({ word }: Suggestion): boolean {
  return !word.startsWith('-')
}

async function namesOf(
  context: CommandContext,
  of: NamesOf,
  located: { readonly config?: string; readonly data?: string },
): Promise<Suggestion[]> {
  const asked = ask(context, of, located).catch(() => [])
  const late = new Promise<Suggestion[]>((resolve) => setTimeout(resolve, ANSWER_MS_MAX, []).unref())
  return (await Promise.race([asked, late])).slice(0, NAMES_MAX)
}

async function ask(
  context: CommandContext,
  of: NamesOf,
  located: { readonly config?: string; readonly data?: string },
): Promise<Suggestion[]> {
  const broker = await ControlClient.of(await dataDirectoryOf(context, located))
  switch (of) {
    case 'stream': {
      const { streams } = await broker.json<{ streams: StreamReport[] }>('GET', '/streams')
      return streams.map(({ stream, records, bytes: size }) => {
        return { word: stream, text: `${count(records)} records, ${bytes(size)}` }
      })
    }
    case 'upstream': {
      type Named = { name: string; state: string; kind?: string }
      const { upstreams, downlinks } = await broker.json<{ upstreams: UpstreamStatus[]; downlinks: Named[] }>(
        'GET',
        '/sync/status',
      )
      const all: Named[] = [...upstreams, ...downlinks]
      return all.map(({ name, kind = 'downlink', state }) => ({ word: name, text: `${kind}, ${state}` }))
    }
    case 'client': {
      const { clients } = await broker.json<{ clients: ClientStatus[] }>('GET', '/clients')
      return clients.map(({ clientId, address }) => ({ word: clientId, text: address }))
    }
  }
}
