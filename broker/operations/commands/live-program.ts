/** The command line's words for what a running broker does now: status, top, clients. */
import { type Command, Option } from 'commander'
import { examples, located, positiveNumber, reporting, seconds, withOthers } from '../terminal/words.ts'
import { TOP_ORDERS } from '../top/orders.ts'
import { CLIENT_ORDERS } from './client-orders.ts'
import type { ClientsOptions } from './clients.ts'
import type { ConfigOptions } from './context.ts'
import type { StatusOptions } from './status.ts'
import type { TopOptions } from './top.ts'

/** Each resolves to the exit code. */
export interface LiveActions {
  status(options: StatusOptions): Promise<number>
  top(options: TopOptions): Promise<number>
  clients(options: ClientsOptions): Promise<number>
  disconnect(
    clientId: string,
    options: ConfigOptions & { readonly json: boolean; readonly yes: boolean },
  ): Promise<number>
}

export function addLive(program: Command, actions: LiveActions, done: (code: number) => void): void {
  reporting(located(program.command('status')))
    .description('how the broker is, what it holds, how far upstream is')
    .option(
      '-w, --watch [seconds]',
      'again and again, every 2 seconds unless said otherwise, until Ctrl-C',
      seconds,
    )
    .addHelpText(
      'after',
      examples(
        'headwater status',
        'headwater status --watch',
        'headwater status --json | jq .broker.log',
        'headwater status --watch 60 --json >> status.ndjson',
      ),
    )
    .action(async (options) => done(await actions.status(options)))
  reporting(located(program.command('top')))
    .description(
      'rates by stream and by client, upstreams and commit latency, live; s sorts otherwise, q quits',
    )
    .addOption(
      new Option('-s, --sort <order>', 'what goes first').choices([...TOP_ORDERS]).default(TOP_ORDERS[0]),
    )
    .option('-i, --interval <seconds>', 'seconds between two looks', seconds, 1)
    .option('-n, --count <n>', 'end after this many', positiveNumber)
    .addHelpText(
      'after',
      examples('headwater top', 'headwater top --sort waiting', 'headwater top --count 1 | cat'),
    )
    .action(async (options) => done(await actions.top(options)))
  const clients = withOthers(reporting(located(program.command('clients'))))
    .description('who is connected by MQTT, with traffic and what waits')
    .addOption(
      new Option('-s, --sort <order>', 'what goes first')
        .choices([...CLIENT_ORDERS])
        .default(CLIENT_ORDERS[0]),
    )
    .option('-n, --count <n>', 'the first of them alone', positiveNumber)
    .addHelpText(
      'after',
      examples(
        'headwater clients',
        'headwater clients --sort bytes --count 10',
        "headwater clients --json | jq -r '.clients[].clientId'",
      ),
    )
    .action(async (options) => done(await actions.clients(options)))
  reporting(located(clients.command('disconnect')))
    .description("end a client's connection; it may connect again")
    .argument('<client>', 'its client id')
    .option('-y, --yes', 'do not ask', false)
    .addHelpText(
      'after',
      examples('headwater clients disconnect pump-7', 'headwater clients disconnect pump-7 --yes'),
    )
    .action(async (clientId, _, command) =>
      done(await actions.disconnect(clientId, command.optsWithGlobals())),
    )
}
