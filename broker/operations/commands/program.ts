/** The command line's words: commands, options, help. What they do comes in as `Actions`. */
import { type Command, Option } from 'commander'
import { addConfig, type ConfigActions } from '../terminal/config-words.ts'
import { tellUsageErrors } from '../terminal/manual/usage.ts'
import { addInit, newProgram, type SharedActions } from '../terminal/shared-words.ts'
import {
  examples,
  group,
  located,
  positiveNumber,
  type Reporting,
  reporting,
  wholeNumber,
  withOthers,
} from '../terminal/words.ts'
import type { BackupCommandOptions } from './backup.ts'
import type { ConfigOptions } from './context.ts'
import { addLive, type LiveActions } from './live-program.ts'
import type { AcknowledgeOptions } from './log-acknowledge.ts'
import type { DumpCommandOptions } from './log-dump.ts'
import { NO_COMMANDS, PROGRAM_FACTS } from './program-facts.ts'
import type { ReadCommandOptions } from './read.ts'
import type { RestoreCommandOptions } from './restore.ts'
import type { SyncRewindOptions } from './sync-rewind.ts'
import type { SyncCommand } from './sync-status.ts'
import type { SyncVerifyOptions } from './sync-verify.ts'
import type { TableCommandOptions } from './table.ts'
import { addTools, type ToolsActions } from './tools-program.ts'
import { addUsers, type UsersActions } from './users-program.ts'

/** Each resolves to the exit code. */
export interface Actions extends SharedActions, UsersActions, ConfigActions, LiveActions, ToolsActions {
  start(options: ConfigOptions & { readonly demo: boolean }): Promise<number>
  reload(options: Reporting): Promise<number>
  streams(options: Reporting): Promise<number>
  compact(stream: string | undefined, options: Reporting): Promise<number>
  read(stream: string, options: ReadCommandOptions): Promise<number>
  table(stream: string, key: string | undefined, options: TableCommandOptions): Promise<number>
  syncStatus(options: Reporting): Promise<number>
  syncCommand(command: SyncCommand, upstream: string | undefined, options: Reporting): Promise<number>
  syncVerify(upstream: string | undefined, options: SyncVerifyOptions): Promise<number>
  syncRewind(
    upstream: string,
    stream: string,
    partition: number | undefined,
    options: SyncRewindOptions,
  ): Promise<number>
  logVerify(options: Reporting): Promise<number>
  logRepair(options: Reporting): Promise<number>
  logAcknowledge(options: AcknowledgeOptions): Promise<number>
  logDump(options: DumpCommandOptions): Promise<number>
  backup(file: string, options: BackupCommandOptions): Promise<number>
  restore(file: string, options: RestoreCommandOptions): Promise<number>
  rename(edge: string, options: Reporting): Promise<number>
}

/** @param done gets the exit code of the command that ran. */
export function buildProgram(version: string, actions: Actions, done: (code: number) => void): Command {
  const description = 'Event broker for the edge: MQTT in, a durable log on this disk, Kafka upstream.'
  const program = newProgram('headwater', description, version, PROGRAM_FACTS)
  program.commandsGroup('Set up and run:')
  addStart(program, actions, done)
  addConfiguration(program, actions, done)
  addConfig(program, actions, done, {
    config: 'the configuration: what counts, and whether it would do',
    check: 'tell whether start would work: configuration, ports, directories',
    file: 'edge.yaml',
    shown: 'limits',
    picked: 'log',
  })
  addUsers(program, actions, done)
  program.commandsGroup('Look:')
  addLive(program, actions, done)
  addReports(program, actions, done)
  program.commandsGroup('Data:')
  addLog(program, actions, done)
  addBackup(program, actions, done)
  addIdentity(program, actions, done)
  program.commandsGroup('Upstream:')
  addSync(program, actions, done)
  program.commandsGroup('This device, this shell:')
  program.helpCommand('help [command...]', 'print help of a command')
  addTools(program, actions, done)
  tellUsageErrors(program, NO_COMMANDS)
  return program
}

function addStart(program: Command, actions: Actions, done: (code: number) => void): void {
  located(program.command('start'))
    .description('run the broker until Ctrl-C or SIGTERM')
    .option('--demo', "also publish this machine's own sensors and 20 simulated ones", false)
    .addHelpText('after', examples('headwater start', 'headwater start --demo --data /tmp/try'))
    .action(async (options) => done(await actions.start(options)))
}

function addConfiguration(program: Command, actions: Actions, done: (code: number) => void): void {
  addInit(program, actions, done)
  reporting(located(program.command('check')))
    .description('tell whether start would work: configuration, ports, directories; the same as config check')
    .argument('[file]', 'the configuration; the same as --config')
    .addHelpText('after', examples('headwater check', 'headwater check edge.yaml --json'))
    .action(async (file, options) => done(await actions.check(file, options)))
  reporting(located(program.command('reload')))
    .description(
      'let the running broker read its configuration, users and certificates again; SIGHUP does the same',
    )
    .addHelpText('after', examples('headwater check && headwater reload'))
    .action(async (options) => done(await actions.reload(options)))
}

function addIdentity(program: Command, actions: Actions, done: (code: number) => void): void {
  reporting(located(program.command('rename')))
    .description('give this edge another name upstream, after a card was cloned or a backup restored')
    .argument('<edge>', 'the new name')
    .addHelpText('after', examples('headwater rename line-7-b'))
    .action(async (edge, options) => done(await actions.rename(edge, options)))
}

function addBackup(program: Command, actions: Actions, done: (code: number) => void): void {
  reporting(located(program.command('backup')))
    .description('write the whole log into one file; works on a running broker too')
    .argument('<file>', 'where to, replaced once the backup is whole; - is standard output')
    .option('--gzip', 'compress it; also where the file ends with .gz', false)
    .option('--verify', 'read the file and tell what it holds; nothing is written', false)
    .addHelpText(
      'after',
      examples(
        'headwater backup /mnt/usb/line-7.hwb.gz',
        'headwater backup - | ssh store "cat > line-7.hwb"',
        'headwater backup --verify /mnt/usb/line-7.hwb.gz',
      ),
    )
    .action(async (file, options) => done(await actions.backup(file, options)))
  reporting(located(program.command('restore')))
    .description('make a data directory out of a backup: another log, with a new incarnation')
    .argument('<file>', 'what `headwater backup` wrote; - is standard input')
    .option('--edge <name>', 'give the edge another name upstream')
    .option('--check', 'read the file and tell what it holds; nothing is changed', false)
    .addHelpText(
      'after',
      examples(
        'headwater restore /mnt/usb/line-7.hwb.gz --data /var/lib/headwater',
        'headwater restore line-7.hwb --data /tmp/look --edge line-7-copy',
        'headwater restore --check line-7.hwb',
      ),
    )
    .action(async (file, options) => done(await actions.restore(file, options)))
}

function addReports(program: Command, actions: Actions, done: (code: number) => void): void {
  const streams = withOthers(reporting(located(program.command('streams'))))
    .description('offsets of every stream and partition')
    .addHelpText('after', examples('headwater streams', 'headwater streams compact states'))
    .action(async (options) => done(await actions.streams(options)))
  reporting(located(streams.command('compact')))
    .description('remove older records of each key now, from the streams whose cleanup is compact')
    .argument('[stream]', 'its name; all without one')
    .addHelpText('after', examples('headwater streams compact', 'headwater streams compact states --json'))
    .action(async (stream, _, command) => done(await actions.compact(stream, command.optsWithGlobals())))
  located(program.command('read'))
    .description(
      'print records of a stream; without --partition all partitions, merged by time of acceptance',
    )
    .argument('<stream>', 'the name of the stream')
    .option('-p, --partition <n>', 'this partition alone', wholeNumber)
    .option(
      '--from <place>',
      'earliest, latest, an offset, or a time such as 2026-03-01T12:00:00Z (as it is stored)',
      'earliest',
    )
    .option('-f, --follow', 'go on with what is written later', false)
    .option('-n, --count <n>', 'end after this many records', wholeNumber)
    .addOption(
      new Option('--format <format>', 'ndjson: one JSON object a record; raw: the payloads')
        .choices(['ndjson', 'raw'])
        .default('ndjson'),
    )
    .addHelpText(
      'after',
      examples(
        'headwater read events --follow',
        'headwater read events --partition 0 --from 1200 --count 5',
        'headwater read events --from latest --follow --format raw | jq .',
      ),
    )
    .action(async (stream, options) => done(await actions.read(stream, options)))
  addTable(program, actions, done)
}

function addLog(program: Command, actions: Actions, done: (code: number) => void): void {
  const log = group(program.command('log').description('the log on this disk'))
  reporting(located(log.command('verify')))
    .description('read every byte of the log and check it; works on a running broker too')
    .addHelpText('after', examples('headwater log verify', 'headwater log verify --json'))
    .action(async (options) => done(await actions.logVerify(options)))
  reporting(located(log.command('repair')))
    .description('write what is damaged anew, without the damage; works on a running broker too')
    .addHelpText('after', examples('headwater log repair'))
    .action(async (options) => done(await actions.logRepair(options)))
  reporting(located(log.command('acknowledge')))
    .description(
      'say that lost records are known of, so that the alarm log-damaged ends; of a running broker',
    )
    .option('-y, --yes', 'do not ask', false)
    .addHelpText('after', examples('headwater log acknowledge', 'headwater log acknowledge --yes --json'))
    .action(async (options) => done(await actions.logAcknowledge(options)))
  reporting(located(log.command('dump')))
    .description('print what lies in the log: segments, batches, notes; damaged ones are named, not skipped')
    .option('--stream <name>', 'this stream alone, without notes')
    .option('-p, --partition <n>', 'this partition of it alone', wholeNumber)
    .option('--from <offset>', 'batches that hold something from this offset on', wholeNumber)
    .option('--to <offset>', 'batches that hold something below this offset', wholeNumber)
    .option('--segment <id>', 'this segment alone, such as 0000000a or main/0000000a')
    .option('--records', 'also each record', false)
    .addHelpText(
      'after',
      examples(
        'headwater log dump | less',
        'headwater log dump --stream events --partition 0 --from 1200 --to 1210 --records',
        "headwater log dump --json | jq 'select(.fault != null)'",
      ),
    )
    .action(async (options) => done(await actions.logDump(options)))
}

function addTable(program: Command, actions: Actions, done: (code: number) => void): void {
  reporting(located(program.command('table')))
    .description('print the latest value of each key of a stream, or of one key, or what changes them')
    .argument('<stream>', 'the name of a stream that has a table')
    .argument('[key]', 'this key alone; without --json its value as it was published')
    .option('--prefix <text>', 'keys that begin so')
    .option('-n, --count <n>', 'end after this many', wholeNumber)
    .option(
      '--from <place>',
      'changes in place of values, from there on: an offset, earliest, latest, or a time',
    )
    .option('-p, --partition <n>', 'with --from: changes of this partition alone', wholeNumber)
    .option('-f, --follow', 'go on with every later change', false)
    .addHelpText(
      'after',
      examples(
        'headwater table machines',
        'headwater table machines plant/7/state',
        'headwater table machines --prefix plant/7/ --json',
        'headwater table machines --follow',
        'headwater table machines --from 1200 --partition 0',
      ),
    )
    .action(async (stream, key, options) => done(await actions.table(stream, key, options)))
}

function addSync(program: Command, actions: Actions, done: (code: number) => void): void {
  const sync = group(program.command('sync').description('replication upstream, of a running broker'))
  reporting(located(sync.command('status')))
    .description('state, lag and positions of every upstream')
    .addHelpText('after', examples('headwater sync status'))
    .action(async (options) => done(await actions.syncStatus(options)))
  const commands: [SyncCommand, string][] = [
    ['pause', 'stop sending after the round under way, also after a restart'],
    ['resume', 'go on after pause, or after an error that stopped an upstream'],
    ['now', 'try at once, and send all that waits, whatever backoff and schedule say'],
  ]
  for (const [command, description] of commands) {
    reporting(located(sync.command(command)))
      .description(description)
      .argument('[upstream]', 'its name; all without one')
      .addHelpText('after', examples(`headwater sync ${command}`, `headwater sync ${command} archive`))
      .action(async (upstream, options) => done(await actions.syncCommand(command, upstream, options)))
  }
  addSyncVerify(sync, actions, done)
  addSyncRewind(sync, actions, done)
}

function addSyncVerify(sync: Command, actions: Actions, done: (code: number) => void): void {
  reporting(located(sync.command('verify')))
    .description('read back what upstream holds and compare it with the log; works on a running broker too')
    .argument('[upstream]', 'its name; all without one')
    .option('--stream <name>', 'this stream alone')
    .option('-p, --partition <n>', 'this partition of it alone', wholeNumber)
    .option('--from <place>', 'earliest, an offset, or a time such as 2026-03-01T12:00:00Z', 'earliest')
    .option(
      '--bandwidth <bytes>',
      "read at most so many bytes a second; the upstream's own cap unless given",
      positiveNumber,
    )
    .addHelpText(
      'after',
      examples(
        'headwater sync verify',
        'headwater sync verify central --bandwidth 20000',
        'headwater sync verify central --stream events --from 2026-03-01T00:00:00Z',
        'headwater sync verify central --json | jq .upstreams[0].partitions',
      ),
    )
    .action(async (upstream, options) => done(await actions.syncVerify(upstream, options)))
}

function addSyncRewind(sync: Command, actions: Actions, done: (code: number) => void): void {
  reporting(located(sync.command('rewind')))
    .description("move an upstream's position: back, to send records again, or forward, to skip some")
    .argument('<upstream>', 'its name')
    .argument('<stream>', 'the name of the stream')
    .argument('[partition]', 'this partition alone', wholeNumber)
    .requiredOption(
      '--to <place>',
      'what is sent next: earliest, latest, an offset, or a time such as 2026-03-01T12:00:00Z',
    )
    .option('-y, --yes', 'do not ask', false)
    .addHelpText(
      'after',
      examples(
        'headwater sync rewind central events --to earliest',
        'headwater sync rewind central events 2 --to 120000',
        'headwater sync rewind central events --to 2026-03-01T12:00:00Z --yes --json',
      ),
    )
    .action(async (upstream, stream, partition, options) =>
      done(await actions.syncRewind(upstream, stream, partition, options)),
    )
}
