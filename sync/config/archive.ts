/** An archive's configuration. */
import { type Static, Type } from '@sinclair/typebox'
import { backoff, closed, name, round } from './common.ts'
import { link } from './link.ts'

export const ArchiveUpstreamSchema = Type.Object(
  {
    name,
    kind: Type.Literal('archive', { description: 'Batch files in a directory or on a mounted disk.' }),
    directory: Type.String({
      description: 'Where the files go. It belongs to one edge; files below the newest may be carried away.',
      minLength: 1,
      path: true,
      shape: 'a directory',
      examples: ['/mnt/usb/headwater'],
    }),
    fileBytesMax: Type.Integer({
      description: 'A batch file is closed once it has this many bytes.',
      minimum: 65_536,
      maximum: 4_294_967_296,
      default: 67_108_864,
    }),
    round: round(4_194_304, 1000, 'Each round costs three fsyncs.'),
    backoff,
    ...link,
  },
  { ...closed, description: 'an archive' },
)

export type ArchiveUpstreamConfig = Static<typeof ArchiveUpstreamSchema>
