/** The command line's words for `config`, of both programs. */
import type { Command } from 'commander'
import type { Done } from './shared-words.ts'
import { examples, group, located, type Reporting, reporting } from './words.ts'

/** Each resolves to the exit code. */
export interface ConfigActions {
  check(file: string | undefined, options: Reporting): Promise<number>
  configShow(key: string | undefined, options: Reporting & { readonly effective: boolean }): Promise<number>
  configSchema(file: string): Promise<number>
  configMigrate(file: string | undefined, options: Reporting & { readonly dryRun: boolean }): Promise<number>
}

/** What differs. */
export interface ConfigWords {
  readonly config: string
  readonly check: string
  /** Of an example. */
  readonly file: string
  /** Keys of examples. */
  readonly shown: string
  readonly picked: string
}

export function addConfig(program: Command, actions: ConfigActions, done: Done, words: ConfigWords): void {
  const name = program.name()
  const config = group(program.command('config').description(words.config))
  reporting(located(config.command('check')))
    .description(words.check)
    .argument('[file]', 'the configuration; the same as --config')
    .addHelpText('after', examples(`${name} config check`, `${name} config check ${words.file} --json`))
    .action(async (file, options) => done(await actions.check(file, options)))
  reporting(located(config.command('show')))
    .description('print what is set, each value with the file and line, or the variable, that it comes from')
    .argument('[key]', 'this key alone, and what is below it')
    .option('-e, --effective', 'also the defaults: all that counts', false)
    .addHelpText(
      'after',
      examples(
        `${name} config show`,
        `${name} config show ${words.shown}`,
        `${name} config show --effective --json | jq .config.${words.picked}`,
      ),
    )
    .action(async (key, options) => done(await actions.configShow(key, options)))
  config
    .command('schema')
    .description('print the JSON Schema of the file, for completion in editors')
    .argument('[file]', 'where to; - is standard output', '-')
    .addHelpText('after', examples(`${name} config schema ${name}.schema.json`))
    .action(async (file) => done(await actions.configSchema(file)))
  reporting(located(config.command('migrate')))
    .description('write a file of an older version anew, after a backup beside it')
    .argument('[file]', 'the configuration; the same as --config')
    .option('--dry-run', 'tell what it would change, and write nothing', false)
    .addHelpText('after', examples(`${name} config migrate --dry-run`, `${name} config migrate`))
    .action(async (file, options) => done(await actions.configMigrate(file, options)))
}
