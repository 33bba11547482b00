/** When certificates end, and what of it is told. */
import type { X509Certificate } from 'node:crypto'
import { expect, it } from 'vitest'
import {
  certificateStatus,
  certificatesIn,
  firstToEnd,
  isCertificateDue,
  lastingAuthorities,
  validityOf,
} from '../../broker/certificate-dates.ts'
import { createAuthority } from '../support/certificates.ts'

const DAY_MS = 86_400_000
const END = Date.parse('2030-06-01')
const authority = (name: string, until: number) => createAuthority(name, { until: new Date(until) })

it.each([
  ['thirty days before its end', 365, 30],
  ['when a quarter of its time is left, where that is less', 90, 22.5],
  ['hours before its end, where it is good for a day', 1, 0.25],
])('a certificate is due %s', (_, days, daysLeft) => {
  const validity = { from: END - days * DAY_MS, until: END }
  const dueAt = END - daysLeft * DAY_MS
  expect(isCertificateDue(validity, dueAt - 1)).toBe(false)
  expect(certificateStatus(validity, dueAt)).toEqual({ until: END, isDue: true })
  expect(certificateStatus(validity, END + 1)).toEqual({ until: END, isDue: true })
  expect(certificateStatus(null, END)).toBeNull()
})

it('certificates are found in a file in their order, whatever stands between them; what is damaged is told by its place', () => {
  const [a, b] = [authority('a', END), authority('b', END)]
  const damaged = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'
  const places: number[] = []
  const found = certificatesIn(Buffer.from(`a comment\n${a.cert}${damaged}\n${b.cert}`), (at) =>
    places.push(at),
  )
  expect(found.map(({ subject }) => subject)).toEqual(['CN=a', 'CN=b'])
  expect(places).toEqual([1])
  expect(certificatesIn(Buffer.from(a.privateKey.export({ type: 'pkcs8', format: 'pem' })))).toEqual([])
  expect(certificatesIn(undefined)).toEqual([])
})

it('of a chain the first end counts', () => {
  const chain = [authority('own', END), authority('between', END - DAY_MS), authority('root', END + DAY_MS)]
  expect(firstToEnd(chain.map(({ x509 }) => x509))?.until).toBe(END - DAY_MS)
  expect(firstToEnd([])).toBeNull()
})

it('an authority may end beside its successor of the same name, and not beside another', () => {
  const [old, next, other] = [authority('a', END - DAY_MS), authority('a', END), authority('b', END - 1000)]
  const ends = (...all: { x509: X509Certificate }[]) =>
    lastingAuthorities(all.map(({ x509 }) => x509)).map((one) => validityOf(one).until)
  expect(ends(old, next)).toEqual([END])
  expect(ends(next, old, other)).toEqual([END, END - 1000])
})
