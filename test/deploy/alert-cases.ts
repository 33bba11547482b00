/** What each alert makes of what is scraped: a minute a value, in promtool's own notation (`1x5` is 1 and five more of it). */

export interface AlertCase {
  readonly alert: string
  readonly story: string
  readonly series: Readonly<Record<string, string>>
  /** Of a value; a minute where it is not given. */
  readonly interval?: string
  /** By this label, and whose alert fires at that time. */
  readonly by: string
  readonly firing: Readonly<Record<string, readonly string[]>>
}

const up = (instance: string, job = 'headwater') => `up{job="${job}",instance="${instance}"}`
const of = (metric: string, instance: string, more = '') =>
  `${metric}{job="headwater",instance="${instance}"${more}}`
const bridge = (metric: string, instance: string, more = '') =>
  `headwater_bridge_${metric}{job="headwater-bridge",instance="${instance}"${more}}`
const build = (instance: string, version: string, edge = instance) =>
  of('headwater_build_info', instance, `,version="${version}",node="20.19.0",edge="${edge}"`)
const others = (job: string) => ({
  [up('b', job)]: '1x120',
  [up('c', job)]: '1x120',
  [up('d', job)]: '1x120',
})

const OUTSIDE: readonly AlertCase[] = [
  {
    alert: 'HeadwaterEdgeDown',
    story: 'an edge that is away for long, and comes back',
    series: { [up('a')]: '1x5 0x30 1x60', ...others('headwater') },
    by: 'instance',
    firing: { '5m': [], '15m': [], '17m': ['a'], '36m': ['a'], '50m': [] },
  },
  {
    alert: 'HeadwaterEdgeDown',
    story: 'a link that is away for a moment, again and again',
    series: { [up('a')]: '1x5 0x8 1x3 0x8 1x3 0x8 1x60', ...others('headwater') },
    by: 'instance',
    firing: { '10m': [], '20m': [], '30m': [], '40m': [] },
  },
  {
    alert: 'HeadwaterEdgeDown',
    story: 'nobody is called for each edge while most are away at a time',
    series: { [up('a')]: '0x60', [up('b')]: '0x60', [up('c')]: '0x60', [up('d')]: '1x60' },
    by: 'instance',
    firing: { '20m': [], '50m': [] },
  },
  {
    alert: 'HeadwaterEdgeDown',
    story: 'of two edges one is not the fleet',
    series: { [up('a')]: '0x60', [up('b')]: '0x60' },
    by: 'instance',
    firing: { '5m': [], '20m': ['a', 'b'] },
  },
  {
    alert: 'HeadwaterFleetDown',
    story: 'most edges are away at a time, and come back',
    series: { [up('a')]: '0x30 1x30', [up('b')]: '0x30 1x30', [up('c')]: '0x60', [up('d')]: '1x60' },
    by: 'job',
    firing: { '3m': [], '10m': ['headwater'], '45m': [] },
  },
  {
    alert: 'HeadwaterNoEdges',
    story: 'the files with targets are empty, and come back',
    series: { [up('a')]: '_x20 1x30' },
    by: 'job',
    firing: { '5m': [], '15m': ['headwater'], '25m': [] },
  },
  {
    alert: 'HeadwaterScrapesFailing',
    story: 'one comes and goes, another was away once for long',
    series: { [up('a')]: '1 1 0 1 1 0 1 1 0 1x120', [up('b')]: '1x5 0x20 1x120' },
    by: 'instance',
    firing: { '5m': [], '12m': ['a'], '60m': ['a'], '110m': [] },
  },
  {
    alert: 'HeadwaterMetricsMissing',
    story: 'another program answers at first',
    series: {
      [up('a')]: '1x60',
      [up('b')]: '1x60',
      [build('a', '1')]: '_x20 1x40',
      [build('b', '1')]: '1x60',
    },
    by: 'instance',
    firing: { '5m': [], '15m': ['a'], '30m': [] },
  },
  {
    alert: 'HeadwaterRestartsOften',
    story: 'one is started three times in an hour, another once',
    series: {
      [of('process_start_time_seconds', 'a')]: '100x5 200x5 300x5 400x160',
      [of('process_start_time_seconds', 'b')]: '100x5 200x170',
    },
    by: 'instance',
    firing: { '15m': [], '20m': ['a'], '80m': ['a'], '160m': [] },
  },
  {
    alert: 'HeadwaterVersionsDiffer',
    story: 'a roll-out that is stuck for more than a day',
    interval: '4m',
    series: {
      [build('a', '2')]: '1x800',
      [build('b', '1')]: '1x399 stale',
      [build('b', '2')]: '_x400 1x400',
    },
    by: 'job',
    firing: { '20h': [], '25h': ['headwater'], '30h': [] },
  },
  {
    alert: 'HeadwaterEdgeNameTwice',
    story: 'a copied card, and an edge that has got another address',
    series: {
      [build('a', '1', 'pi')]: '1x60',
      [build('b', '1', 'pi')]: '1x30 stale',
      [build('c', '1', 'moved')]: '1x20 stale',
      [build('d', '1', 'moved')]: '_x18 1x60',
    },
    by: 'edge',
    firing: { '10m': [], '20m': ['pi'], '28m': ['pi'], '35m': [] },
  },
  {
    alert: 'HeadwaterClockWrong',
    story: 'one is wrong and trusted, one right, one wrong and not trusted; the first is set',
    series: {
      [of('headwater_clock_time_seconds', 'a')]: '100+60x30 1860+60x60',
      [of('headwater_clock_time_seconds', 'b')]: '2+60x90',
      [of('headwater_clock_time_seconds', 'c')]: '100+60x90',
      [of('headwater_clock_trusted', 'a')]: '1x90',
      [of('headwater_clock_trusted', 'b')]: '1x90',
      [of('headwater_clock_trusted', 'c')]: '0x90',
    },
    by: 'instance',
    firing: { '5m': [], '15m': ['a'], '60m': [] },
  },
  {
    alert: 'HeadwaterNothingReceived',
    story: 'one falls silent and recovers, one never had a message',
    interval: '4m',
    series: {
      [of('headwater_messages_received_total', 'a')]: '0+10x370 3700x60 3710+10x60',
      [of('headwater_messages_received_total', 'b')]: '5x500',
    },
    by: 'instance',
    firing: { '24h': [], '25h': [], '27h': ['a'], '30h': [] },
  },
]

const BRIDGES: readonly AlertCase[] = [
  {
    alert: 'HeadwaterBridgeDown',
    story: 'one is away for long',
    series: { [up('a', 'headwater-bridge')]: '1x5 0x30 1x60', ...others('headwater-bridge') },
    by: 'instance',
    firing: { '10m': [], '20m': ['a'], '50m': [] },
  },
  {
    alert: 'HeadwaterBridgesDown',
    story: 'most are away at a time',
    series: {
      [up('a', 'headwater-bridge')]: '0x30 1x30',
      [up('b', 'headwater-bridge')]: '0x30 1x30',
      [up('c', 'headwater-bridge')]: '0x60',
      [up('d', 'headwater-bridge')]: '1x60',
    },
    by: 'job',
    firing: { '3m': [], '10m': ['headwater-bridge'], '45m': [] },
  },
  {
    alert: 'HeadwaterBridgeWithoutBroker',
    story: 'a restart of the broker is none, a broker that stays away is',
    series: { [bridge('broker_up', 'a')]: '1x5 0x20 1x30', [bridge('broker_up', 'b')]: '1x5 0x3 1x50' },
    by: 'instance',
    firing: { '8m': [], '15m': ['a'], '40m': [] },
  },
  {
    alert: 'HeadwaterBridgeLinkDown',
    story: 'a cable is pulled, and put back',
    series: {
      [bridge('link_up', 'a', ',link="serial x"')]: '1x5 0x20 1x30',
      [bridge('link_up', 'a', ',link="udp y"')]: '1x60',
    },
    by: 'link',
    firing: { '8m': [], '15m': ['serial x'], '40m': [] },
  },
  {
    alert: 'HeadwaterBridgeCommitsFailing',
    story: 'one write fails',
    series: {
      [bridge('window_failed_commits_total', 'a')]: '0x5 1x60',
      [bridge('window_failed_commits_total', 'b')]: '3x65',
    },
    by: 'instance',
    firing: { '5m': [], '8m': ['a'], '40m': [] },
  },
  {
    alert: 'HeadwaterBridgeFramesDamaged',
    story: 'one line is noisy, one a little, one has few frames',
    series: {
      [bridge('link_dropped_frames_total', 'a', ',link="x",reason="crc"')]: '0+10x60 600x60',
      [bridge('link_received_frames_total', 'a', ',link="x"')]: '0+100x120',
      [bridge('link_dropped_frames_total', 'b', ',link="x",reason="crc"')]: '0+1x120',
      [bridge('link_received_frames_total', 'b', ',link="x"')]: '0+100x120',
      [bridge('link_dropped_frames_total', 'c', ',link="x",reason="cobs"')]: '0x9 4x110',
      [bridge('link_received_frames_total', 'c', ',link="x"')]: '0x9 4x110',
    },
    by: 'instance',
    firing: { '10m': [], '20m': ['a'], '60m': ['a'], '110m': [] },
  },
  {
    alert: 'HeadwaterBridgeMessagesLost',
    story: 'each way to lose one',
    series: {
      [bridge('device_dropped_messages_total', 'a', ',device="x",reason="refused"')]: '0x5 1x60',
      [bridge('link_lost_messages_total', 'b', ',link="x"')]: '0x5 1x60',
      [bridge('messages_given_up_total', 'c')]: '0x5 1x60',
      [bridge('messages_given_up_total', 'd')]: '7x70',
    },
    by: 'instance',
    firing: { '5m': [], '8m': ['a', 'b', 'c'], '45m': [] },
  },
  {
    alert: 'HeadwaterBridgeDevicesLost',
    story: 'devices go silent, and come back',
    series: { [bridge('devices', 'a', ',state="lost"')]: '0x5 2x60 0x30' },
    by: 'instance',
    firing: { '20m': [], '40m': ['a'], '90m': [] },
  },
]

/** An alarm that opens, is not scraped for some minutes (a restart, a link), is there again, and goes. */
export function alarmCase(alert: string, id: string, severity: string): AlertCase {
  const open = (instance: string, what: string) =>
    of('headwater_alarm_open', instance, `,id="${what}",severity="${severity}",subject="x"`)
  return {
    alert,
    story: 'its alarm opens, is away with its edge, comes back, and goes; another alarm is open elsewhere',
    series: {
      [open('a', id)]: '_ _ 1x10 stale _x10 1x5 stale _x60',
      [open('b', id === 'other' ? 'none' : `${id}-not`)]: '1x90',
    },
    by: 'instance, severity',
    firing: {
      '1m': [],
      '3m': [`a ${severity}`],
      '22m': [`a ${severity}`],
      '28m': [`a ${severity}`],
      '60m': [],
    },
  }
}

export const ALERT_CASES: readonly AlertCase[] = [...OUTSIDE, ...BRIDGES]
