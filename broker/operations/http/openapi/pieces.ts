/** Small parts of schemas. Only the build loads them: the running broker serves the file that comes of it (main.ts). */
import { type TSchema, Type } from '@sinclair/typebox'

export const text = (description: string) => Type.String({ description })
export const number = (description: string) => Type.Number({ description })
export const count = (description: string) => Type.Integer({ description, minimum: 0 })
export const flag = (description: string) => Type.Boolean({ description })
export const time = (description: string) => Type.Number({ description: `${description} In ms since 1970.` })
export const words = (description: string, ...all: string[]) =>
  Type.Union(
    all.map((word) => Type.Literal(word)),
    { description },
  )
export const orNull = (schema: TSchema) => Type.Union([schema, Type.Null()])

export const certificate = (description: string) =>
  Type.Object(
    { until: time('When it ends.'), isDue: flag('It is time for a new one.') },
    description === '' ? {} : { description },
  )

/** An object of counts. */
export const counts = (description: string, ...names: string[]) =>
  Type.Object(Object.fromEntries(names.map((name) => [name, Type.Number({ minimum: 0 })])), { description })

export const byName = (description: string) =>
  Type.Record(Type.String(), Type.Number({ minimum: 0 }), { description })
