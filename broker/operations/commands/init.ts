/** `headwater init`: writes the commented configuration. */

import { writeFile } from 'node:fs/promises'
import type { TSchema } from '@sinclair/typebox'
import { configTemplate } from '../../config/template.ts'
import { UsageError } from '../errors.ts'
import { ExitCode } from '../exit-codes.ts'
import type { CommandContext } from './context.ts'

export interface InitOptions {
  /** "-" is standard output. */
  readonly file: string
  readonly force: boolean
  readonly upstreamSchema: TSchema
  readonly downlinkSchema: TSchema
}

export async function runInit(context: CommandContext, options: InitOptions): Promise<number> {
  const { file, force, upstreamSchema, downlinkSchema } = options
  const text = configTemplate(upstreamSchema, downlinkSchema)
  if (file === '-') {
    context.out.raw(text)
    return ExitCode.ok
  }
  await writeNewFile(file, text, force, 'headwater.yaml')
  context.out.line(`wrote ${file}`)
  context.out.line(`edit it, then: headwater check ${file} && headwater start --config ${file}`)
  return ExitCode.ok
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
    case 'EISDIR':
      return new UsageError(`${file} is a directory`, `name a file, such as ${file}/${usual}`)
    default:
      return new UsageError(`${file}: ${error.message}`, 'choose a place that can be written')
  }
}
