/** `headwater init`: writes the commented configuration, and beside it the schema by which editors complete it. */
import { constants } from 'node:fs'
import { open, writeFile } from 'node:fs/promises'
import { basename, dirname, extname, join } from 'node:path'
import type { TObject } from '@sinclair/typebox'
import { fileSchema } from '../../config/json-schema.ts'
import { brokerTemplate } from '../../config/template.ts'
import { UsageError } from '../errors.ts'
import { ExitCode } from '../exit-codes.ts'
import type { CommandContext } from './context.ts'

export interface InitOptions {
  /** "-" is standard output. */
  readonly file: string
  readonly force: boolean
  /** Of the whole configuration. */
  readonly schema: TObject
}

const SCHEMA_TITLE = 'Headwater'

export async function runInit(context: CommandContext, options: InitOptions): Promise<number> {
  const { file, force, schema } = options
  const text = brokerTemplate(schema)
  if (file === '-') {
    context.out.raw(text)
    return ExitCode.ok
  }
  const beside = schemaBeside(file)
  await writeNewFile(file, withSchemaLine(text, beside), force, 'headwater.yaml')
  await writeGenerated(beside, schemaText(schema, SCHEMA_TITLE))
  context.out.line(`wrote ${file}, and ${beside} by which editors complete it`)
  context.out.line(`edit it, then: headwater check ${file} && headwater start --config ${file}`)
  return ExitCode.ok
}

/** `headwater config schema` */
export async function writeSchema(context: CommandContext, file: string, schema: TObject): Promise<number> {
  const text = schemaText(schema, SCHEMA_TITLE)
  if (file === '-') context.out.raw(text)
  else {
    await writeGenerated(file, text)
    context.out.line(`wrote ${file}`)
  }
  return ExitCode.ok
}

export function schemaText(schema: TObject, title: string): string {
  return `${JSON.stringify(fileSchema(schema, title), null, 2)}\n`
}

/** headwater.yaml -> headwater.schema.json */
export function schemaBeside(file: string): string {
  return join(dirname(file), `${basename(file, extname(file))}.schema.json`)
}

/** What the YAML language server, and the editors with it, look for. */
export function withSchemaLine(text: string, schemaFile: string): string {
  return `# yaml-language-server: $schema=./${basename(schemaFile)}\n${text}`
}

/**
 * Made by this program alone: a version of before is replaced, and nothing that a link leads to: whoever may write the directory could have
 * put one there. It holds nothing to hide. @throws UsageError
 */
export async function writeGenerated(file: string, text: string): Promise<void> {
  try {
    const { O_CREAT, O_NOFOLLOW, O_TRUNC, O_WRONLY } = constants
    const opened = await open(file, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o644)
    try {
      await opened.writeFile(text)
      if ((await opened.stat()).isFile()) await opened.chmod(0o644)
    } finally {
      await opened.close()
    }
  } catch (error) {
    throw cannotWrite(file, 'headwater.schema.json', error as NodeJS.ErrnoException)
  }
}

/** @param usual the name that a hint gives. @throws UsageError */
export async function writeNewFile(file: string, text: string, force: boolean, usual: string): Promise<void> {
  try {
    // Secrets may be written into it later.
    await writeFile(file, text, { flag: force ? 'w' : 'wx', mode: 0o640 })
  } catch (error) {
    throw cannotWrite(file, usual, error as NodeJS.ErrnoException)
  }
}

function cannotWrite(file: string, usual: string, error: NodeJS.ErrnoException): UsageError {
  switch (error.code) {
    case 'EEXIST':
      return new UsageError(`${file} exists already`, 'choose another name, or replace it with --force')
    case 'ENOENT':
    case 'ENOTDIR':
      return new UsageError(`${file}: there is no such directory`, 'make it first')
    case 'ELOOP':
      return new UsageError(`${file} is a symbolic link`, 'name the file that it leads to, or remove it')
    case 'EISDIR':
      return new UsageError(`${file} is a directory`, `name a file, such as ${file}/${usual}`)
    default:
      return new UsageError(`${file}: ${error.message}`, 'choose a place that can be written')
  }
}
