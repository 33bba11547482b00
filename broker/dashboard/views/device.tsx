/** The device and its broker, in facts. */
import type { StatusReport } from '../api/types.ts'
import { Fact } from '../parts/figure.tsx'
import type { Snapshot } from '../state/live.ts'
import { ago, bytes, count, duration, milliseconds, minuteText, plural } from '../text/units.ts'
import { visible } from '../text/visible.ts'

type Broker = NonNullable<StatusReport['broker']>

export function Device({ snapshot, now }: { snapshot: Snapshot; now: number }) {
  const broker = snapshot.report?.broker
  if (broker == null) return null
  const { log, mqtt, clock, fileSystem } = broker
  const resident = snapshot.samples.at(-1)?.residentBytes
  return (
    <section class="card" aria-labelledby="device-title">
      <h2 id="device-title">Device</h2>
      <dl class="facts wide">
        <Fact name="Version">{visible(broker.version)}</Fact>
        <Fact name="Edge">{visible(broker.edge)}</Fact>
        <Fact name="Incarnation">{visible(broker.incarnation)}</Fact>
        <Fact name="Started">{`${ago(broker.startedAt, now)}, process ${broker.pid}`}</Fact>
        <Fact name="Listens on">{mqtt.listeners.map(visible).join(', ') || 'nothing'}</Fact>
        {mqtt.tls.map((tls) => (
          <Fact key={tls.listener} name="Certificate">
            <span class={isWell(tls) ? '' : 'warn'}>{certificateText(tls)}</span>
          </Fact>
        ))}
        <Fact name="Log in">{visible(broker.dataDirectory)}</Fact>
        <Fact name="File system">
          {visible(fileSystem.type)}
          {fileSystem.warning !== null && (
            <span class="warn">{` \u2013 ${visible(fileSystem.warning)}`}</span>
          )}
        </Fact>
        <Fact name="Disk">{diskText(log.space)}</Fact>
        <Fact name="Memory">{resident === undefined ? '\u2013' : bytes(resident)}</Fact>
        <Fact name="Log">
          {`${log.condition}${log.reason === null ? '' : `: ${visible(log.reason)}`}, ${plural(log.segments, 'segment')}, ${bytes(log.storedBytes)}`}
        </Fact>
        <Fact name="Commits">
          {`${count(log.commits)}, the longest ${milliseconds(log.commitMsMax)}${log.failedCommits > 0 ? `, ${count(log.failedCommits)} failed` : ''}`}
        </Fact>
        <Fact name="Clock">{clockText(clock)}</Fact>
        <Fact name="Sessions">
          {`${count(mqtt.sessions.sessions)}, ${plural(mqtt.sessions.subscriptions, 'subscription')}, ${count(mqtt.sessions.queued)} queued`}
        </Fact>
        <Fact name="Not recorded">{notRecorded(broker)}</Fact>
      </dl>
    </section>
  )
}

type ListenerTls = Broker['mqtt']['tls'][number]

function isWell({ certificate, clientAuthority, fault }: ListenerTls): boolean {
  return !certificate.isDue && clientAuthority?.isDue !== true && fault === null
}

function certificateText({ listener, certificate, clientAuthority, fault }: ListenerTls): string {
  const authority =
    clientAuthority === null ? '' : `, authority of clients until ${minuteText(clientAuthority.until)}`
  const old = fault === null ? '' : ', older than its files'
  return `${visible(listener)}: until ${minuteText(certificate.until)}${authority}${old}`
}

function diskText({ freeBytes, usedBytes, bytesMax, isFull }: Broker['log']['space']): string {
  const free = freeBytes === null ? '' : `${bytes(freeBytes)} free, `
  const limit = bytesMax === null ? '' : ` of at most ${bytes(bytesMax)}`
  return `${isFull ? 'full: ' : ''}${free}${bytes(usedBytes)} taken by the log${limit}`
}

function clockText({ trust, evidence, steps, lastStepMs }: Broker['clock']): string {
  const stepped =
    steps === 0
      ? ''
      : `, set ${plural(steps, 'time')}${lastStepMs === null ? '' : `, last by ${duration(Math.abs(lastStepMs))}`}`
  return `${trust} (${visible(evidence)})${stepped}`
}

/** Messages that are in no stream, by reason. */
function notRecorded({ ingress, mqtt }: Broker): string {
  const reasons: [number, string][] = [
    [ingress.deadLetters, 'dead letters'],
    [ingress.tooLarge, 'too large'],
    [ingress.unrouted, 'on topics that no stream takes'],
    [ingress.failed, 'in commits that failed'],
    [mqtt.refused, 'refused'],
  ]
  const texts = reasons.filter(([value]) => value > 0).map(([value, reason]) => `${count(value)} ${reason}`)
  return texts.length === 0 ? 'nothing' : texts.join(', ')
}
