/** What goes to an upstream, and when and how much its link bears: the same for every kind. */
import { Type } from '@sinclair/typebox'
import { closed } from './common.ts'

const PATTERN_SHAPE = 'a name in which "*" stands for any run of characters'

const patterns = (description: string, defaults: readonly string[], example: string) =>
  Type.Array(Type.String({ minLength: 1, maxLength: 1024, shape: PATTERN_SHAPE }), {
    description,
    maxItems: 256,
    default: [...defaults],
    examples: [[example]],
  })

const priority = Type.Integer({ minimum: 0, maximum: 9 })

const timezone = Type.String({
  description: 'The time zone of these times, such as Europe/Berlin; system is the one of this machine.',
  minLength: 1,
  maxLength: 64,
  shape: 'a name of the time zone database, or system',
  default: 'system',
})

const streams = Type.Object(
  {
    include: patterns('Streams that go there; "*" stands for any run of characters.', ['*'], 'alarms*'),
    exclude: patterns('Of those, streams that do not.', [], 'debug*'),
  },
  {
    ...closed,
    description:
      'Which streams go there. Nothing is asked of this upstream about the others, and retention does not wait for it there.',
    default: {},
  },
)

const filter = Type.Object(
  {
    streams: patterns('The streams that this filter is for.', ['*'], 'telemetry*'),
    keys: Type.Object(
      {
        include: patterns(
          'Keys that go there; [] is all. A record without a key is in no list.',
          [],
          'site/1/*',
        ),
        exclude: patterns('Of those, keys that do not.', [], '*/debug'),
      },
      { ...closed, description: 'Which records, by their key.', default: {} },
    ),
    oneIn: Type.Integer({
      description: 'Of this many records of a partition, in the order of their offsets, one goes; 1 is all.',
      minimum: 1,
      maximum: 1_000_000,
      default: 1,
    }),
    newestPerKey: Type.Boolean({
      description:
        'Of what waits, only the newest record of each key goes; after an outage that is the state now, not what led to it.',
      default: false,
    }),
  },
  { ...closed, description: 'one filter' },
)

const filters = Type.Array(filter, {
  description:
    'Which records of a stream go there: the first filter that names the stream. What is left out counts as done. ' +
    'Such as { streams: [telemetry], oneIn: 10 }, with keys: { include: [] } and newestPerKey: true as further keys.',
  maxItems: 64,
  default: [],
  examples: [[{ streams: ['telemetry'], oneIn: 10 }]],
})

const priorities = Type.Record(Type.String({ minLength: 1, maxLength: 200 }), priority, {
  description:
    'The order in which streams go, by their name or a pattern of it, 0 to 9; the higher first. Where a stream is not named here ' +
    'its own priority counts. Such as { alarms: 9 }.',
  default: {},
  examples: [{ alarms: 9 }],
})

const urgentPriority = Type.Integer({
  description: 'Streams of this priority and above are urgent: a schedule or a budget can let them pass.',
  minimum: 1,
  maximum: 9,
  default: 8,
})

const bandwidth = Type.Object(
  {
    bytesPerSecond: Type.Integer({
      description: 'Bytes a second over the link, in the mean.',
      minimum: 100,
      maximum: 10_000_000_000,
      examples: [50_000],
    }),
    burstBytes: Type.Optional(
      Type.Integer({
        description: "Bytes that may go at once after a pause; without it a second's worth.",
        minimum: 1,
        maximum: 10_000_000_000,
        examples: [100_000],
      }),
    ),
  },
  { ...closed, description: 'What the link may carry; without it as much as it can.' },
)

const clockTime = (description: string, example: string) =>
  Type.String({
    description,
    pattern: '^([01][0-9]|2[0-3]):[0-5][0-9]$',
    shape: 'HH:MM, such as 22:00',
    examples: [example],
  })

const schedule = Type.Object(
  {
    windows: Type.Array(
      Type.Union([
        Type.Object(
          {
            from: clockTime('When it opens.', '22:00'),
            to: clockTime('When it closes, the next day where it is not later than `from`.', '06:00'),
            days: Type.Array(
              Type.Union(
                [
                  Type.Literal('sun'),
                  Type.Literal('mon'),
                  Type.Literal('tue'),
                  Type.Literal('wed'),
                  Type.Literal('thu'),
                  Type.Literal('fri'),
                  Type.Literal('sat'),
                ],
                { shape: 'sun, mon, tue, wed, thu, fri or sat' },
              ),
              { description: 'The days on which it opens; [] is every day.', maxItems: 7, default: [] },
            ),
          },
          { ...closed, description: 'a window by the clock' },
        ),
        Type.Object(
          {
            cron: Type.String({
              description:
                'Open in each minute that it names: minute, hour, day, month, weekday. "* 22-23,0-5 * * 1-5" is at night.',
              shape: 'five fields as in cron',
              minLength: 9,
              maxLength: 200,
              examples: ['* 22-23,0-5 * * 1-5'],
            }),
          },
          { ...closed, description: 'a window by a cron expression' },
        ),
      ]),
      {
        description: 'When the link may be used.',
        minItems: 1,
        maxItems: 32,
        examples: [[{ from: '22:00', to: '06:00' }]],
      },
    ),
    timezone,
    outside: Type.Union([Type.Literal('hold'), Type.Literal('urgent')], {
      description:
        'What goes outside the windows. hold: nothing. urgent: streams of urgentPriority and above.',
      default: 'hold',
    }),
  },
  {
    ...closed,
    description:
      'When the link may be used; without it always. While the clock is not to be trusted it is, too: data that never leaves is worse ' +
      'than data that leaves in the daytime. `headwater sync now` sends all that waits once.',
  },
)

const budgets = Type.Array(
  Type.Object(
    {
      bytes: Type.Integer({
        description: 'Bytes over the link in a period, at most.',
        minimum: 1000,
        maximum: 1_000_000_000_000_000,
        examples: [500_000_000],
      }),
      period: Type.Union([Type.Literal('day'), Type.Literal('month')], {
        description: 'How long they have to last.',
        default: 'month',
      }),
      resetDay: Type.Integer({
        description: 'The day of the month on which a month begins.',
        minimum: 1,
        maximum: 28,
        default: 1,
      }),
      timezone,
      whenUsed: Type.Union([Type.Literal('hold'), Type.Literal('urgent')], {
        description:
          'What goes when they are used up. hold: nothing. urgent: streams of urgentPriority and above, counted on.',
        default: 'hold',
      }),
    },
    { ...closed, description: 'one budget' },
  ),
  {
    description:
      'Data volumes that the link may use. The count survives restarts and never falls short; without a trusted clock no new period begins. ' +
      'Such as { bytes: 500000000, period: month, resetDay: 1 }.',
    maxItems: 4,
    default: [],
    examples: [[{ bytes: 500_000_000, period: 'month' }]],
  },
)

/** The keys that every upstream has for it. Loading fills in defaults; who embeds sync may leave them out. */
export const link = {
  streams: Type.Optional(streams),
  filters: Type.Optional(filters),
  priorities: Type.Optional(priorities),
  urgentPriority: Type.Optional(urgentPriority),
  bandwidth: Type.Optional(bandwidth),
  schedule: Type.Optional(schedule),
  budgets: Type.Optional(budgets),
}
