/** The description of the API, OpenAPI 3.1, from the table of its routes and the schemas of their answers. */
import { type TSchema, Type } from '@sinclair/typebox'
import { API_ROUTES, type ApiRoute, type ApiRouteId } from '../route-table.ts'
import { ANSWERS, BODIES, COMPONENTS } from './schemas.ts'

const ACCESS: Readonly<Record<ApiRoute['access'], string>> = {
  open: 'Anybody may ask.',
  status: 'This machine may ask while no token is configured, else who shows it.',
  full: 'Who shows the token may ask; without one this machine, as long as there are no users and no permissions.',
}

export function openApiDocument(version: string): object {
  const paths: Record<string, Record<string, object>> = {}
  for (const route of API_ROUTES) {
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: operation(route) }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Headwater',
      version,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      description:
        'How an edge event broker is, what it holds, and what can be done to it. Lines are newline-delimited JSON; one that could not go ' +
        'on ends with a line that holds the error.',
    },
    servers: [{ url: '/' }],
    security: [{}, { token: [] }],
    paths,
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer', description: 'Of http.tokenFile.' } },
      schemas: Object.fromEntries(Object.entries(COMPONENTS).map(([name, schema]) => [name, plain(schema)])),
    },
  }
}

function operation(route: ApiRoute & { readonly id: ApiRouteId }): object {
  const { id, path, access, summary, query = [] } = route
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }))
  const inQuery = query.map(({ name, type, description }) => ({
    name,
    in: 'query',
    description,
    schema: type === 'integer' ? { type, minimum: 0 } : { type },
  }))
  const body = BODIES[id]
  return {
    operationId: id,
    summary,
    description: ACCESS[access],
    ...(access === 'open' ? { security: [{}] } : {}),
    parameters: [...inPath, ...inQuery],
    ...(route.method === 'POST'
      ? {
          requestBody: {
            required: body !== undefined,
            content: { 'application/json': { schema: plain(body ?? Type.Object({})) } },
          },
        }
      : {}),
    responses: {
      200: success(route),
      ...(id === 'ready' ? { 503: success(route) } : {}),
      default: failure(),
    },
  }
}

function success({ id, answer }: ApiRoute & { readonly id: ApiRouteId }): object {
  const schema = ANSWERS[id]
  const type = {
    json: 'application/json',
    lines: 'application/x-ndjson',
    text: 'text/plain',
  }[answer]
  const description = answer === 'lines' ? 'Lines; the schema is that of each.' : 'The answer.'
  return {
    description,
    content: { [type]: { schema: schema === null ? { type: 'string' } : plain(schema) } },
  }
}

function failure(): object {
  const schema = plain(Type.Object({ error: Type.Ref('Error') }))
  return { description: 'Why there is no answer.', content: { 'application/json': { schema } } }
}

/** Without TypeBox' own marks; references lead to the components. */
function plain(schema: TSchema): unknown {
  return JSON.parse(JSON.stringify(schema), (key, value: unknown) => {
    if (key === '$id' || value === '') return undefined
    return key === '$ref' ? `#/components/schemas/${value}` : value
  })
}
