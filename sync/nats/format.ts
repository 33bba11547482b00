/**
 * What stands in JetStream: names, and one message. Read by consumers: never change what a number stands for.
 *
 *   stream    := template of the configuration, {edge} and {stream} replaced by token
 *   subject   := prefix "." token(edge) "." token(stream) "." partition:decimal
 *   token     := the name with "%2E" for each "."; names have letters, digits, ".", "_" and "-"
 *
 *   message   := headers payload
 *   headers   := "Hw-Format: 1"
 *                "Hw-Origin: " edge "/" incarnation "/" stream "/" partition:decimal
 *                "Hw-From: " offset:decimal        the "Hw-Next" of the subject's message before, or where the edge began
 *                "Hw-Next: " offset:decimal        all records of the log below it are here or in a message before
 *                "Hw-Proof: " crc:8 hex digits     of the record at Hw-Next - 1 (proof.ts); absent where compaction removed it
 *                "Hw-Instance: " uuid              the process that sent it
 *   payload   := batch*                            RecordBatch v2 as Kafka has them, not compressed, one behind the other
 *
 * The batches hold the records from Hw-From up to, not including, Hw-Next, with the offsets of the edge's log; what
 * compaction or a filter left out is missing. A subject's messages in their order are the partition's log. A message without batches
 * whose Hw-From is its Hw-Next is a position that a person moved on purpose, back or forward, whatever the message before says.
 *
 * Example: edge "pi-7", stream "press.events", partition 2, records 40 and 41:
 *   subject headwater.pi-7.press%2Eevents.2
 *   Hw-Origin: pi-7/0a1b2c3d-…/press.events/2    Hw-From: 40    Hw-Next: 42    Hw-Proof: 01c5e0ff
 *   payload 0000000000000028 (base offset 40) 00000081 (12 + 129 bytes) …
 */
export const FORMAT = '1'
const DECIMAL = /^(0|[1-9][0-9]{0,15})$/
const PROOF = /^[0-9a-f]{8}$/

export interface Origin {
  readonly edge: string
  readonly incarnation: string
  readonly stream: string
  readonly partition: number
}

export interface MessageHead {
  readonly origin: Origin
  readonly from: number
  readonly next: number
  readonly proof: number | null
  readonly instance: string
}

export function token(name: string): string {
  return name.replaceAll('.', '%2E')
}

export function subjectOf(prefix: string, edge: string, stream: string, partition: number): string {
  return `${prefix}.${token(edge)}.${token(stream)}.${partition}`
}

export function streamNameOf(template: string, edge: string, stream: string): string {
  return template.replaceAll('{edge}', token(edge)).replaceAll('{stream}', token(stream))
}

/** The subjects that a stream of this template takes, of all edges and streams that map to it. */
export function subjectsFor(template: string, prefix: string, edge: string, stream: string): string {
  const edges = template.includes('{edge}') ? token(edge) : '*'
  const streams = template.includes('{stream}') ? token(stream) : '*'
  return `${prefix}.${edges}.${streams}.*`
}

/** Whether a subject is among those that `pattern` stands for. */
export function subjectMatches(pattern: string, subject: string): boolean {
  const wanted = pattern.split('.')
  const given = subject.split('.')
  for (const [i, part] of wanted.entries()) {
    if (part === '>') return given.length > i
    if (i >= given.length || (part !== '*' && part !== given[i])) return false
  }
  return wanted.length === given.length
}

export function encodeHead(head: MessageHead): [string, string][] {
  const { edge, incarnation, stream, partition } = head.origin
  const headers: [string, string][] = [
    ['Hw-Format', FORMAT],
    ['Hw-Origin', `${edge}/${incarnation}/${stream}/${partition}`],
    ['Hw-From', String(head.from)],
    ['Hw-Next', String(head.next)],
    ['Hw-Instance', head.instance],
  ]
  if (head.proof !== null) headers.push(['Hw-Proof', head.proof.toString(16).padStart(8, '0')])
  return headers
}

/** @returns null for what this program did not write. */
export function parseHead(header: (name: string) => string | null): MessageHead | null {
  const [edge, incarnation, stream, partition, ...rest] = (header('Hw-Origin') ?? '').split('/')
  const from = header('Hw-From') ?? ''
  const next = header('Hw-Next') ?? ''
  const proof = header('Hw-Proof')
  const instance = header('Hw-Instance')
  if (header('Hw-Format') !== FORMAT || !edge || !incarnation || !stream || rest.length > 0 || !instance) {
    return null
  }
  if (![from, next, partition ?? ''].every((text) => DECIMAL.test(text))) return null
  if (proof !== null && !PROOF.test(proof)) return null
  return {
    origin: { edge, incarnation, stream, partition: Number(partition) },
    from: Number(from),
    next: Number(next),
    proof: proof === null ? null : Number.parseInt(proof, 16),
    instance,
  }
}
