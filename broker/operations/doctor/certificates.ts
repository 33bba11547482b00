/** The certificates that this device shows: whether they are its key's, for how long, for which names, and signed by whom they say. */
import type { X509Certificate } from 'node:crypto'
import { certificatesIn, isCertificateDue, lastingAuthorities, validityOf } from '../../certificate-dates.ts'
import { HeadwaterError } from '../../errors.ts'
import { readCertificates, type TlsFiles } from '../../mqtt/door/certificates.ts'
import type { Disk } from '../../storage/store.ts'
import { duration } from '../terminal/units.ts'
import { type Finding, fault, ok, warning } from './finding.ts'

const ITEM = 'certificate'

export interface ClockView {
  /** ms since 1970 */
  readonly now: number
  readonly isTrusted: boolean
}

/** @param where the listener */
export async function examineCertificates(
  disk: Disk,
  files: TlsFiles,
  where: string,
  clock: ClockView,
): Promise<Finding[]> {
  try {
    await readCertificates(disk, files, where)
  } catch (error) {
    if (!(error instanceof HeadwaterError)) throw error
    return [fault(ITEM, error.message, error.hint)]
  }
  const chain = certificatesIn(await disk.readFile(files.certFile))
  const findings = chainFindings(files.certFile, chain, clock)
  if (files.clientCaFile !== null) {
    const authorities = lastingAuthorities(certificatesIn(await disk.readFile(files.clientCaFile)))
    for (const authority of authorities) {
      const due = dateFinding(files.clientCaFile, authority, clock)
      if (due !== null) findings.push(due)
    }
  }
  return findings
}

/** @param chain the device's own first. */
export function chainFindings(file: string, chain: readonly X509Certificate[], clock: ClockView): Finding[] {
  const [own] = chain
  if (own === undefined) return [fault(ITEM, `${file} has no PEM certificate`, 'put it there as PEM')]
  const findings = chain.flatMap((certificate) => dateFinding(file, certificate, clock) ?? [])
  const broken = chain.findIndex((certificate, at) => {
    const issuer = chain[at + 1]
    return issuer !== undefined && !(certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey))
  })
  if (broken >= 0) {
    const what = `${file}: certificate ${broken + 2} did not sign certificate ${broken + 1}`
    findings.push(fault(ITEM, what, 'put them in order: its own, then who signed it, and so on'))
  }
  if (own.subjectAltName === undefined) {
    const todo = 'have one made with the names and addresses that clients connect to (subjectAltName)'
    findings.push(warning(ITEM, `${file} names no host, and most clients refuse it`, todo))
  }
  if (findings.length > 0) return findings
  const left = duration(validityOf(own).until - clock.now)
  return [ok(ITEM, `${file}: for ${namesOf(own)}, for another ${left}`)]
}

function namesOf({ subjectAltName, subject }: X509Certificate): string {
  const names = subjectAltName?.split(', ').map((name) => name.replace(/^(DNS|IP Address):/, ''))
  return names?.join(', ') ?? subject.split('\n').join(', ')
}

/** A date in doubt is told as a doubt of the clock: it costs nothing to look there first. */
function dateFinding(file: string, certificate: X509Certificate, clock: ClockView): Finding | null {
  const { from, until } = validityOf(certificate)
  const name = certificate.subject.split('\n').join(', ')
  const day = (time: number) => new Date(time).toISOString().slice(0, 10)
  const doubt = clock.isTrusted ? '' : `, by a clock that is not to be trusted (it shows ${day(clock.now)})`
  if (from > clock.now) {
    const todo = clock.isTrusted
      ? 'have it made anew: its date is in the future'
      : "set this device's clock first"
    return fault(ITEM, `${file}: ${name} is valid only from ${day(from)}${doubt}`, todo)
  }
  const todo = 'put a new one and its key into the files; no restart is needed'
  if (until < clock.now) return fault(ITEM, `${file}: ${name} expired on ${day(until)}${doubt}`, todo)
  if (!isCertificateDue({ from, until }, clock.now)) return null
  return warning(ITEM, `${file}: ${name} expires in ${duration(until - clock.now)}`, todo)
}
