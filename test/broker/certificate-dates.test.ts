/** When certificates end, and what of it is told. */
import { expect, it } from 'vitest'
import {
  certificateStatus,
  certificatesIn,
  endOf,
  firstEnd,
  isCertificateDue,
  lastingAuthorities,
} from '../../broker/certificate-dates.ts'
import { createAuthority } from '../support/certificates.ts'

const DAY_MS = 86_400_000
const END = Date.parse('2030-06-01')
const authority = (name: string, until: number) => createAuthority(name, { until: new Date(until) })

it('a certificate is due thirty days before its end', () => {
  expect(isCertificateDue(END, END - 30 * DAY_MS - 1)).toBe(false)
  expect(certificateStatus(END, END - 30 * DAY_MS)).toEqual({ until: END, isDue: true })
  expect(certificateStatus(END, END + 1)).toEqual({ until: END, isDue: true })
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
  expect(firstEnd(chain.map(({ x509 }) => x509))).toBe(END - DAY_MS)
  expect(firstEnd([])).toBeNull()
})

it('an authority may end beside its successor of the same name, and not beside another', () => {
  const [old, next, other] = [authority('a', END - DAY_MS), authority('a', END), authority('b', END - 1000)]
  const ends = (...all: { x509: Parameters<typeof endOf>[0] }[]) =>
    lastingAuthorities(all.map(({ x509 }) => x509)).map(endOf)
  expect(ends(old, next)).toEqual([END])
  expect(ends(next, old, other)).toEqual([END, END - 1000])
})
