/** Of certificates: those that listeners show and take, and those that are shown upstream. */
import type { CertificateStatus } from '../../certificate-dates.ts'
import type { ListenerTls } from '../../mqtt/door/listener.ts'
import type { UpstreamStatus } from '../operations.ts'
import { printable } from '../terminal/printable.ts'
import type { Finding } from './alarm.ts'
import type { AlarmLook } from './look.ts'

export function certificateFindings({ at, broker, upstreams }: AlarmLook): Finding[] {
  return [
    ...broker.mqtt.tls.flatMap((listener) => ofListener(listener, at)),
    ...upstreams.flatMap((upstream) => ofUpstream(upstream, at)),
  ]
}

function ofListener(tls: ListenerTls, at: number): Finding[] {
  const { listener, certificate, clientAuthority, fault } = tls
  const [certFile, keyFile, clientCaFile] = [tls.certFile, tls.keyFile, tls.clientCaFile ?? ''].map(printable)
  return [
    ...due(certificate, at, {
      subject: listener,
      what: `the certificate that ${listener} shows its clients`,
      hint: `put a new one into ${certFile} and its key into ${keyFile}; nothing needs a restart`,
    }),
    ...due(clientAuthority, at, {
      subject: `${listener} clientCaFile`,
      what: `an authority whose certificates ${listener} takes from clients`,
      hint: `put its successor beside it into ${clientCaFile}, give the clients new certificates, then remove it`,
    }),
    ...unusable(listener, fault),
  ]
}

function unusable(subject: string, fault: string | null): Finding[] {
  if (fault === null) return []
  const summary = `${subject} goes on with its old certificates: ${printable(fault)}`
  const hint = 'mend the files, `headwater doctor` examines them; with these the broker would not start'
  return [{ id: 'certificate-unusable', severity: 'warning', subject, summary, hint }]
}

function ofUpstream({ name, certificate }: UpstreamStatus, at: number): Finding[] {
  const hint = 'put a new one into the files that its tls names; nothing needs a restart'
  return due(certificate, at, {
    subject: name,
    what: `the certificate that this device shows ${name}`,
    hint,
  })
}

function due(
  shown: CertificateStatus | null,
  at: number,
  { subject, what, hint }: { subject: string; what: string; hint: string },
): Finding[] {
  if (shown === null || (!shown.isDue && shown.until > at)) return []
  const isOver = shown.until <= at
  const day = new Date(shown.until).toISOString().slice(0, 10)
  return [
    {
      id: 'certificate-due',
      severity: isOver ? 'critical' : 'warning',
      subject,
      summary: `${what} ${isOver ? 'has ended' : 'ends'} on ${day}`,
      hint,
    },
  ]
}
