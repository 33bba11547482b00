/** Writes openapi.json: a part of the build. */
import { writeFileSync } from 'node:fs'
import { OWN_FILES } from '../../../own-files.ts'
import { VERSION } from '../../../version.ts'
import { openApiDocument } from './document.ts'

writeFileSync(OWN_FILES.openApi, `${JSON.stringify(openApiDocument(VERSION))}\n`)
