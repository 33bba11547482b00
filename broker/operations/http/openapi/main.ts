/** Writes openapi.json beside the listener that serves it: a part of the build. */
import { writeFileSync } from 'node:fs'
import { VERSION } from '../../../version.ts'
import { openApiDocument } from './document.ts'

writeFileSync(new URL('../openapi.json', import.meta.url), `${JSON.stringify(openApiDocument(VERSION))}\n`)
