/** The command line's words for `headwater config`. */
import type { Command } from 'commander'
import type { ConfigOptions } from './context.ts'
import { examples, group, located, reporting } from './words.ts'

type Reporting = ConfigOptions & { readonly json: boolean }

/** Each resolves to the exit code. */
export interface ConfigActions {
  check(file: string | undefined, options: Reporting): Promise<number>
  configShow(key: string | undefined, options: Reporting & { readonly effective: boolean }): Promise<number>
  configSchema(file: string): Promise<number>
  configMigrate(file: string | undefined, options: Reporting & { readonly dryRun: boolean }): Promise<number>
}

export function addConfig(program: Command, actions: ConfigActions, done: (code: number) => void): void {
  const config = group(
    program.command('config').description('the configuration: what counts, and whether it would do'),
  )
  reporting(located(config.command('check')))
    .description('tell whether start would work: configuration, ports, directories')
    .argument('[file]', 'the configuration; the same as --config')
    .addHelpText('after', examples('headwater config check', 'headwater config check edge.yaml --json'))
    .action(async (file, options) => done(await actions.check(file, options)))
  reporting(located(config.command('show')))
    .description('print what is set, each value with the file and line, or the variable, that it comes from')
    .argument('[key]', 'this key alone, and what is below it')
    .option('-e, --effective', 'also the defaults: all that counts', false)
    .addHelpText(
      'after',
      examples(
        'headwater config show',
        'headwater config show limits',
        'headwater config show --effective --json | jq .config.log',
      ),
    )
    .action(async (key, options) => done(await actions.configShow(key, options)))
  config
    .command('schema')
    .description('print the JSON Schema of the file, for completion in editors')
    .argument('[file]', 'where to; - is standard output', '-')
    .addHelpText('after', examples('headwater config schema headwater.schema.json'))
    .action(async (file) => done(await actions.configSchema(file)))
  reporting(located(config.command('migrate')))
    .description('write a file of an older version anew, after a backup beside it')
    .argument('[file]', 'the configuration; the same as --config')
    .option('--dry-run', 'tell what it would change, and write nothing', false)
    .addHelpText('after', examples('headwater config migrate --dry-run', 'headwater config migrate'))
    .action(async (file, options) => done(await actions.configMigrate(file, options)))
}
