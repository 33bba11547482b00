/** `headwater config show`, `config schema` and `config migrate`; `config check` is check.ts. */
import { resolve } from 'node:path'
import type { TObject } from '@sinclair/typebox'
import type { Loaded, RefusedConfig } from '../../config/load-file.ts'
import { migrateFile } from '../../config/migrate-file.ts'
import type { Migration } from '../../config/migrations.ts'
import { shownConfig, shownValues, valuesBelow } from '../../config/show.ts'
import { HeadwaterError } from '../../errors.ts'
import { UsageError } from '../errors.ts'
import { ExitCode } from '../exit-codes.ts'
import type { Output } from '../terminal/output.ts'
import { printable } from '../terminal/printable.ts'
import { printTable } from '../terminal/table.ts'

export interface ShowOptions {
  /** This key alone, and what is below it. */
  readonly key?: string | undefined
  /** Defaults, too. */
  readonly effective: boolean
  readonly json: boolean
}

/** @throws UsageError for a key that is not there */
export function showConfig(
  out: Output,
  schema: TObject,
  loaded: Pick<Loaded<object>, 'config' | 'file' | 'source'>,
  { key, effective, json }: ShowOptions,
): void {
  const all = shownValues(schema, loaded)
  const wanted = key === undefined ? all : valuesBelow(all, key)
  if (typeof wanted === 'string') throw new UsageError(`the configuration has no "${key}"`, wanted)
  // who asks for a key wants to know what counts, whoever said it
  const values = effective || key !== undefined ? wanted : wanted.filter(({ source }) => source !== null)
  if (json) {
    out.json({
      file: loaded.file,
      values,
      ...(effective ? { config: shownConfig(schema, loaded.config) } : {}),
    })
    return
  }
  if (values.length === 0) {
    out.line(`${loaded.file ?? 'no file'}: nothing is set, the defaults count; --effective prints them`)
    return
  }
  const columns = [{ title: 'KEY' }, { title: 'VALUE' }, { title: 'FROM' }]
  const rows = values.map(({ key, value, source }) => [
    printable(key),
    printable(textOf(value)),
    printable(source ?? 'default'),
  ])
  printTable(out, columns, rows)
}

function textOf(value: unknown): string {
  return typeof value === 'string' && value !== '' ? value : JSON.stringify(value)
}

export interface MigrateOptions {
  readonly file: string | null
  readonly program: string
  readonly migrations: readonly Migration[]
  /** Nothing is written. */
  readonly dryRun: boolean
  readonly json: boolean
}

/**
 * @param loaded what the file gives now, read as its newest version; one that is refused is not written
 * @throws UsageError
 */
export async function migrateConfig(
  out: Output,
  loaded: Pick<Loaded<object>, 'ok' | 'file'> | RefusedConfig,
  { program, migrations, dryRun, json }: Omit<MigrateOptions, 'file'>,
): Promise<number> {
  const { file } = loaded
  if (file === null)
    throw new UsageError('there is no configuration file', `name it: \`${program} config migrate FILE\``)
  const done = await migrateFile(file, { migrations, now: Date.now(), isTrial: dryRun }).catch((error) => {
    throw cannotMigrate(file, error as NodeJS.ErrnoException)
  })
  if (json) out.json({ ...done, file: resolve(done.file) })
  else {
    for (const { to, summary } of done.done) out.line(`version ${to}: ${printable(summary)}`)
    if (done.done.length === 0)
      out.line(`${printable(file)} has version ${done.from}, the newest: nothing to do`)
    else if (done.backup === null)
      out.line(`nothing was written; without --dry-run ${printable(done.file)} is`)
    else out.line(`wrote ${printable(done.file)}; as it was: ${printable(done.backup)}`)
  }
  return ExitCode.ok
}

function cannotMigrate(file: string, error: NodeJS.ErrnoException): Error {
  if (error instanceof HeadwaterError) return error
  const hint = 'nothing was changed; make room, or run it as the owner of the file and its directory'
  return new UsageError(`${file} cannot be written anew: ${error.message}`, hint)
}
