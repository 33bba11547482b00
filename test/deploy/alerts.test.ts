/** The alert rules: of every alarm there is one, what they ask for exists, and they fire and resolve when they should. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { ALARMS } from '../../broker/operations/alarms/catalogue.ts'
import { ROOT } from '../structure/sources.ts'
import { hasPromtool, promtool } from '../support/promtool.ts'
import { ALERT_CASES, type AlertCase, alarmCase } from './alert-cases.ts'
import { leadsSomewhere } from './docs.ts'
import { expressionFaults, labelsOf } from './judge.ts'

interface Rule {
  readonly alert?: string
  readonly record?: string
  readonly expr: string
  readonly for?: string
  readonly keep_firing_for?: string
  readonly labels?: { readonly severity: string }
  readonly annotations?: Readonly<Record<string, string>>
}

const FOLDER = `${ROOT}deploy/raspberry-pi/prometheus`
const FILE = `${FOLDER}/alerts.yaml`
const { groups } = parse(readFileSync(FILE, 'utf8')) as { groups: { name: string; rules: Rule[] }[] }
const rules = groups.flatMap((group) => group.rules)
const alerts = rules.filter((rule): rule is Rule & { alert: string } => rule.alert !== undefined)
const named = alerts.map((rule) => [rule.alert, rule] as const)

const alertOf = (id: string) =>
  `Headwater${id
    .split('-')
    .map((word) => word[0]!.toUpperCase() + word.slice(1))
    .join('')}`

/** What docs/operate.md says: one, or several where an alarm rises. */
function severities(id: string): string[] {
  const operate = readFileSync(`${ROOT}docs/operate.md`, 'utf8')
  return new RegExp(`^\\| <a id="${id}"></a>\`\\w[\\w-]*\` +\\| ([a-z, ]+) \\|`, 'm')
    .exec(operate)![1]!
    .trim()
    .split(', ')
}

describe('an alarm', () => {
  it.each(Object.keys(ALARMS))('%s has an alert of its own, as severe as it is', (id) => {
    const found = alerts.filter(({ expr }) => expr.includes(`id="${id}"`))
    expect(found).toHaveLength(1)
    const [{ alert, expr, labels, annotations }] = found as [Rule]
    expect(alert).toBe(alertOf(id))
    expect(expr).toBe(`headwater_alarm_open{id="${id}"} == 1`)
    expect(annotations!.runbook_url).toBe(`docs/operate.md#${id}`)
    const known = severities(id)
    // one that rises brings its severity along
    expect(labels?.severity).toBe(known.length === 1 ? known[0] : undefined)
  })

  it('is what every alert of its group is about', () => {
    const [own] = groups
    expect(own!.name).toBe('headwater-alarms')
    expect(own!.rules.map(({ alert }) => alert)).toEqual(Object.keys(ALARMS).map(alertOf))
  })
})

describe('an alert', () => {
  it('has a name that no other has', () => {
    const names = alerts.map(({ alert }) => alert)
    expect(new Set(names).size).toBe(names.length)
  })

  it.each(named)(
    '%s says what is wrong, of whom, and where more is written',
    (_, { expr, annotations, labels }) => {
      expect(Object.keys(annotations!)).toEqual(['summary', 'description', 'runbook_url'])
      const { summary, description, runbook_url: runbook } = annotations as Record<string, string>
      expect(description).toMatch(/\.$/)
      expect(runbook).toMatch(/^docs\/operate\.md#[a-z-]+$/)
      expect([runbook, leadsSomewhere(runbook!.replace('docs/', ''))]).toEqual([runbook, true])
      const has = labelsOf(expr)
      for (const [, label] of `${summary} ${description}`.matchAll(/\$labels\.(\w+)/g))
        expect(has).toContain(label)
      if (labels !== undefined) {
        expect(['critical', 'warning', 'info']).toContain(labels.severity)
        const row = new RegExp(`\`${alertName(expr)}\` +\\| ${labels.severity} `)
        if (!expr.includes('headwater_alarm_open'))
          expect(readFileSync(`${ROOT}docs/operate.md`, 'utf8')).toMatch(row)
      }
    },
  )

  it.each(named)('%s does not flap: it waits before it fires, or goes on after it', (_, rule) => {
    expect(minutes(rule.for) + minutes(rule.keep_firing_for)).toBeGreaterThanOrEqual(10)
  })

  it.each(rules.map((rule) => [rule.alert ?? rule.record!, rule.expr]))(
    '%s asks for what there is',
    (_, expr) => {
      expect(expressionFaults(expr)).toEqual([])
    },
  )

  it('of an alarm outlasts the time in which it opens again after a restart', () => {
    for (const [id, { opensSeconds }] of Object.entries(ALARMS)) {
      if (id === 'upstream-paused' || id === 'downlink-paused') continue
      const { keep_firing_for: kept } = alerts.find(({ alert }) => alert === alertOf(id))!
      expect([id, minutes(kept) * 60 > opensSeconds]).toEqual([id, true])
    }
  })
})

function alertName(expr: string): string {
  const { alert, annotations } = alerts.find((rule) => rule.expr === expr)!
  // those of a fleet stand in the line of those of one
  return annotations!.runbook_url!.endsWith('-down')
    ? alert.replace(/(Fleet|Bridges)Down/, (_, what) => (what === 'Fleet' ? 'EdgeDown' : 'BridgeDown'))
    : alert
}

function minutes(duration: string | undefined): number {
  if (duration === undefined) return 0
  const [, digits, unit] = /^(\d+)([mhd])$/.exec(duration)!
  return Number(digits) * { m: 1, h: 60, d: 1440 }[unit as 'm' | 'h' | 'd']
}

const CASES: readonly AlertCase[] = [
  ...Object.keys(ALARMS).flatMap((id) =>
    severities(id).map((severity) => alarmCase(alertOf(id), id, severity)),
  ),
  ...ALERT_CASES,
]

it('every alert is seen to be silent, to fire, and to resolve', () => {
  for (const { alert } of alerts) {
    const times = CASES.filter((one) => one.alert === alert).map(({ firing }) =>
      Object.values(firing).map((who) => (who.length > 0 ? 'fires' : 'silent')),
    )
    const full = times.filter(
      (seen) => seen[0] === 'silent' && seen.includes('fires') && seen.at(-1) === 'silent',
    )
    expect([alert, full.length > 0]).toEqual([alert, true])
  }
})

describe.skipIf(!hasPromtool)('promtool', () => {
  let directory: string
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'headwater-rules-'))
  })
  afterAll(() => rmSync(directory, { recursive: true, force: true }))

  function testRules(name: string, tests: readonly object[]): string {
    const file = join(directory, `${name}.json`)
    // YAML is what it reads, and JSON is YAML
    writeFileSync(file, JSON.stringify({ rule_files: [FILE], evaluation_interval: '1m', tests }))
    return promtool(['test', 'rules', file])
  }

  it('has no complaint about the rules, nor about the example of a configuration', () => {
    expect(promtool(['check', 'rules', FILE])).toBe('')
    expect(promtool(['check', 'config', '--syntax-only', join(FOLDER, 'prometheus.yml')])).toBe('')
  })

  it.each(CASES.map((one) => [`${one.alert}: ${one.story}`, one] as const))(
    '%s',
    (_, one) => {
      expect(testRules('case', [promtoolCase(one)])).toBe('')
    },
    60_000,
  )

  it('finds a case that is not so', () => {
    const wrong = { ...ALERT_CASES[0]!, firing: { '5m': ['a'] } }
    expect(testRules('wrong', [promtoolCase(wrong)])).toContain('FAILED')
  })

  it('names edge and subject in what a person gets', () => {
    const { annotations } = alerts.find(({ alert }) => alert === 'HeadwaterUpstreamStopped')!
    const labels = { instance: 'a', job: 'headwater', subject: 'central', severity: 'critical' }
    const series = `headwater_alarm_open{id="upstream-stopped",instance="a",job="headwater",subject="central",severity="critical"}`
    const told = (text: string) =>
      text.replaceAll('{{ $labels.instance }}', 'a').replaceAll('{{ $labels.subject }}', 'central')
    const shown = Object.fromEntries(Object.entries(annotations!).map(([name, text]) => [name, told(text)]))
    expect(shown.summary).toBe('Upstream central of a has stopped and waits for a person')
    const test = {
      interval: '1m',
      input_series: [{ series, values: '1x5' }],
      alert_rule_test: [
        {
          alertname: 'HeadwaterUpstreamStopped',
          eval_time: '3m',
          exp_alerts: [{ exp_labels: { ...labels, id: 'upstream-stopped' }, exp_annotations: shown }],
        },
      ],
    }
    expect(testRules('words', [test])).toBe('')
  })
})

function promtoolCase({ alert, series, interval = '1m', by, firing }: AlertCase): object {
  const names = by.split(', ')
  return {
    interval,
    input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
    promql_expr_test: Object.entries(firing).map(([time, who]) => ({
      expr: `count by (${by}) (ALERTS{alertname="${alert}",alertstate="firing"})`,
      eval_time: time,
      exp_samples: who.map((one) => {
        const values = names.length === 1 ? [one] : one.split(' ')
        return { labels: `{${names.map((name, index) => `${name}="${values[index]}"`).join(',')}}`, value: 1 }
      }),
    })),
  }
}
