/** The broker: data directory, log, ingress and MQTT front, started in this order and stopped in the reverse one. */
import { ChainClocks } from './clock/chain-clocks.ts'
import { type ClockParts, ClockWatch } from './clock/clock-watch.ts'
import { systemClock } from './clock/system-clock.ts'
import type { Trust } from './clock/trust.ts'
import {
  type ConfigChange,
  changeText,
  configChanges,
  isLive,
  pendingChange,
  type ReloadReport,
  withLiveChanges,
} from './config/changes.ts'
import type { BrokerConfig } from './config/schema.ts'
import { edgeOf, logSettings, WRITE_BUFFER_BYTES } from './configured.ts'
import { ListenError } from './errors.ts'
import { dropBallast } from './log/ballast.ts'
import { mergeCatalog, readCatalog } from './log/catalog.ts'
import { EventLog } from './log/event-log.ts'
import type { LogStatus } from './log/log-status.ts'
import { type LogSink, silentSink } from './log-sink.ts'
import { connectionLimits, gateSettings, listenerOptions, sessionLimits } from './mqtt/configured.ts'
import type { ClientStatus } from './mqtt/connection/client-status.ts'
import { Gate } from './mqtt/door/gate.ts'
import type { Front } from './mqtt/front.ts'
import { Ingress, type IngressStates } from './mqtt/ingress.ts'
import { LocalPublisher } from './mqtt/local-publisher.ts'
import { openFront } from './mqtt/open-front.ts'
import { Qos2Ids } from './mqtt/qos2.ts'
import { Router } from './mqtt/router.ts'
import { SourcePositions } from './mqtt/source-positions.ts'
import { sysStatus } from './mqtt/sys/status.ts'
import { SysTopics } from './mqtt/sys/sys-topics.ts'
import { ANONYMOUS } from './mqtt/who.ts'
import { clockChangeText } from './operations/clock-text.ts'
import { CompactionSchedule } from './operations/compaction-schedule.ts'
import { ReloadRefusedError, UnknownClientError } from './operations/errors.ts'
import { LostRecords } from './operations/lost-records.ts'
import type { BrokerOperations, BrokerStatus, DamageStatus } from './operations/operations.ts'
import { type DataDirectory, openDataDirectory } from './storage/data-directory.ts'
import type { FactStore } from './storage/fact-store.ts'
import { type FileSystem, type FileSystemProbe, fileSystemOf } from './storage/file-system.ts'
import { nodeDisk } from './storage/node-disk.ts'
import type { Disk } from './storage/store.ts'
import { Tables } from './tables/tables.ts'
import { VERSION } from './version.ts'

/** What the broker needs of the world; tests hand in a faulty one. */
export interface BrokerDependencies {
  readonly disk?: Disk
  readonly log?: LogSink
  readonly clock?: ClockParts
  /** Names of the upstreams that will tell their positions (`EventLog.floors`): retention waits for them. */
  readonly upstreams?: readonly string[]
  readonly fileSystemProbe?: FileSystemProbe
}

export class Broker implements BrokerOperations {
  readonly log: EventLog
  readonly tables: Tables
  /** Facts that the log does not hold, such as the positions upstream acknowledged. */
  readonly facts: FactStore
  /** For messages that do not come from an MQTT client. */
  readonly publisher: LocalPublisher
  #config: BrokerConfig
  readonly #sink: LogSink
  readonly #gate: Gate
  readonly #sys: SysTopics
  readonly #disk: Disk
  readonly #data: DataDirectory
  readonly #watch: ClockWatch
  readonly #clocks: ChainClocks
  readonly #router: Router
  readonly #ingress: Ingress
  readonly #front: Front
  readonly #fileSystem: FileSystem
  readonly #startedAt = Date.now()
  /** By a clock that nobody sets. */
  readonly #startedMonotonic = performance.now()
  readonly #schedule: CompactionSchedule
  readonly #lost: LostRecords
  /** Of what the start and reading found, what an operator knows of. */
  #known = { salvagedSegments: 0, faults: 0, factsDamaged: 0 }

  private constructor(
    config: BrokerConfig,
    disk: Disk,
    data: DataDirectory,
    watch: ClockWatch,
    clocks: ChainClocks,
    log: EventLog,
    tables: Tables,
    router: Router,
    ingress: Ingress,
    front: Front,
    schedule: CompactionSchedule,
    fileSystem: FileSystem,
    gate: Gate,
    sink: LogSink,
    lost: LostRecords,
  ) {
    this.#lost = lost
    this.#gate = gate
    this.#sink = sink
    this.#schedule = schedule
    this.log = log
    this.tables = tables
    this.facts = data.facts
    this.#config = config
    this.#disk = disk
    this.#data = data
    this.#watch = watch
    this.#clocks = clocks
    this.#router = router
    this.#ingress = ingress
    this.#front = front
    this.publisher = new LocalPublisher(ingress, front)
    this.#fileSystem = fileSystem
    gate.watch((removed) => front.review(removed))
    this.#gate.sayWhoMayConnect(this.#front.reach())
    this.#sys = new SysTopics({
      read: () => sysStatus(VERSION, this.#startedMonotonic, front.status(), ingress.status()),
      publish: (topic, payload) => front.publishSys(topic, payload),
    })
    this.#sys.every(config.mqtt.sysIntervalSeconds)
  }

  /**
   * @throws DataDirectoryLockedError, DataDirectoryError, StreamDefinitionError, UsersFileError, ListenError: nothing is left open then.
   */
  static async start(config: BrokerConfig, dependencies: BrokerDependencies = {}): Promise<Broker> {
    const { disk = nodeDisk, log: sink = silentSink, clock = systemClock() } = dependencies
    if (await dropBallast(disk, config.data))
      sink.warn('the disk is full: what was kept aside for this start is used')
    const data = await openDataDirectory(disk, config.data, edgeOf(config), sink)
    const watch = new ClockWatch({ ...clock, mode: config.clock.trust })
    const clocks = new ChainClocks(watch)
    let log: EventLog | undefined
    let tables: Tables | undefined
    let front: Front | undefined
    try {
      const fileSystem = await fileSystemOf(config.data, dependencies.fileSystemProbe)
      if (fileSystem.warning !== null) {
        sink.warn(`the data directory's file system: ${fileSystem.warning}`, { data: config.data })
      }
      const states = new Map<string, IngressStates>()
      const statesOf = (chain: string) => {
        const own = { qos2: new Qos2Ids(), sources: new SourcePositions() }
        states.set(chain, own)
        return [own.qos2, own.sources, clocks.stateOf(chain)]
      }
      const options = {
        ...logSettings(config),
        segmentBytes: config.log.segmentBytes,
        admittedBytesMax: config.limits.admittedBytesMax,
        writeBufferBytes: WRITE_BUFFER_BYTES,
        hasBallast: true,
        upstreams: dependencies.upstreams ?? [],
        trustedNow: () => watch.trustedNow(),
        clockFactsOf: (chain: string) => clocks.factsOf(chain),
      }
      log = await EventLog.open(disk, data, options, sink, statesOf)
      const opened = log
      await startClock(watch, clocks, log, sink)
      const withTable = config.streams.filter(({ table }) => table).map(({ name }) => name)
      tables = Tables.open({ disk, data: data.path, log, sink }, withTable)
      const router = new Router(config.streams, (name) => opened.stream(name))
      const { recordBytesMax, admittedBytesMax: waitingBytesMax } = config.limits
      const ingressOptions = { recordBytesMax, waitingBytesMax, now: () => watch.now() }
      const ingress = new Ingress(log, router, (chain) => states.get(chain)!, ingressOptions)
      const frontOptions = {
        listeners: listenerOptions(config),
        connectionsMax: config.limits.connectionsMax,
        limits: connectionLimits(config),
        sessionLimits: sessionLimits(config),
      }
      const streamOf = (topic: string) => router.match(topic)?.stream.name ?? null
      const gateWorld = { disk, data: data.path, sink, streamOf }
      const gate = await Gate.open(gateWorld, gateSettings(config))
      const frontClock = {
        now: () => watch.now(),
        trustedNow: () => watch.trustedNow(),
        monotonic: () => clock.time.monotonic(),
      }
      const guard = { access: gate.door, quotas: gate.rates }
      const world = { disk, data: data.path, log, ingress, router, sink, clock: frontClock, ...guard }
      front = await openFront(world, frontOptions)
      const schedule = new CompactionSchedule(() => opened.janitor.compact(), sink)
      await schedule.follow(config)
      return new Broker(
        config,
        disk,
        data,
        watch,
        clocks,
        log,
        tables,
        router,
        ingress,
        front,
        schedule,
        fileSystem,
        gate,
        sink,
        await LostRecords.open(log, data.facts),
      )
    } catch (error) {
      await front?.close()
      await tables?.close()
      await log?.close()
      watch.close()
      await data.facts.close()
      throw error
    }
  }

  status(): BrokerStatus {
    const { listeners, tls, clients, connecting, sessions, ...traffic } = this.#front.status()
    const ingress = this.#ingress.status()
    const log = this.log.status()
    const { lost: _, ...damage } = this.#damage(log.recovery)
    return {
      version: VERSION,
      pid: process.pid,
      startedAt: this.#startedAt,
      edge: this.#data.identity.edge,
      incarnation: this.#data.identity.incarnation,
      dataDirectory: this.#data.path,
      fileSystem: this.#fileSystem,
      dataRecovery: { ...this.#data.recovery },
      mqtt: {
        listeners,
        tls,
        connections: clients,
        connecting,
        connectionsMax: this.#config.limits.connectionsMax,
        isGuarded: !this.#gate.door.isUnguarded,
        needsLogin: this.#gate.door.needsLogin,
        messages: ingress.received,
        refused: traffic.refused + traffic.dropped + traffic.refusedMessages,
        traffic,
        sessions,
      },
      ingress,
      log,
      damage,
      clock: this.#clocks.status(this.#watch),
    }
  }

  /**
   * Takes up what can be taken up of a configuration that was read again, certificates and users besides. A message that comes meanwhile
   * goes by the old routes or by the new ones.
   * @throws StreamDefinitionError, ReloadRefusedError where a listener cannot be had, and what the disk says of a new stream: nothing has changed then
   */
  async applyConfig(config: BrokerConfig): Promise<ReloadReport> {
    const changes = configChanges(this.#config, config)
    const next = withLiveChanges(this.#config, config)
    // also those that are to count later: a start with them would be refused
    mergeCatalog(await readCatalog(this.#disk, this.#data.path), logSettings(config).streams)
    const listeners = await this.#prepareListeners(changes, next)
    try {
      await this.log.redefine(logSettings(next))
    } catch (error) {
      await listeners?.discard()
      throw error
    }
    this.#config = next
    this.#router.update(next.streams, (name) => this.log.stream(name))
    const applied = changes.filter(isLive).map((change) => changeText(change))
    const needsRestart = changes.filter((change) => !isLive(change)).map(pendingChange)
    this.#front.connectionsMax = next.limits.connectionsMax
    // with the routes: who may write to a stream is asked by the topic
    if (applied.length > 0) this.#gate.update(gateSettings(next))
    // by the new rules
    listeners?.commit()
    for (const line of applied) this.#sink.info(`the configuration has changed: ${line}`)
    for (const { key, reason } of needsRestart)
      this.#sink.warn(`the configuration has changed, which needs a restart: ${key} (${reason})`)
    if (applied.length > 0) {
      this.#sys.every(next.mqtt.sysIntervalSeconds)
      this.#gate.sayWhoMayConnect(this.#front.reach())
    }
    await this.#schedule.follow(next)
    await this.#gate.readUsers()
    await this.#front.renew()
    return { applied, needsRestart }
  }

  /** @returns null where they stay as they are @throws ReloadRefusedError: a broker that goes on is better than one without the others */
  async #prepareListeners(changes: readonly ConfigChange[], next: BrokerConfig) {
    if (!changes.some(({ path }) => path.join('.') === 'mqtt.listeners')) return null
    try {
      return await this.#front.prepareListeners(listenerOptions(next))
    } catch (error) {
      if (!(error instanceof ListenError)) throw error
      throw new ReloadRefusedError([`${error.message} (${error.hint})`])
    }
  }

  /**
   * A client that this program brings along may publish there and nothing else, whatever users and permissions there are.
   * @param name with a "/" in it, so that it is no user's
   * @returns its password
   */
  addGuest(name: string, publish: readonly string[]): string {
    return this.#gate.door.guests.add(name, publish)
  }

  clients(): ClientStatus[] {
    return this.#front.clients()
  }

  disconnect(clientId: string): void {
    const client = this.#front.disconnect(clientId)
    if (client === null) throw new UnknownClientError(clientId)
    const { user, address: from } = client
    this.#sink.info('an operator disconnected a client', { client: clientId, from, user: user ?? ANONYMOUS })
  }

  damage(): DamageStatus {
    return this.#damage(this.log.status().recovery)
  }

  #damage(recovery: LogStatus['recovery']): DamageStatus {
    const { ranges: lost, offsets: lostOffsets } = this.#lost.report()
    const found = this.#found(recovery)
    return {
      lostOffsets,
      lost,
      salvagedSegments: found.salvagedSegments - this.#known.salvagedSegments,
      faults: found.faults - this.#known.faults,
      factsDamaged: found.factsDamaged - this.#known.factsDamaged,
    }
  }

  async acknowledgeDamage(lostOffsets: number): Promise<void> {
    const found = this.#found(this.log.status().recovery)
    await this.#lost.acknowledge(lostOffsets)
    this.#known = found
    this.#sink.info('an operator acknowledged what is damaged', { lostOffsets, ...found })
  }

  /** Since the start. */
  #found({ salvagedSegments, faults }: LogStatus['recovery']) {
    return { salvagedSegments, faults, factsDamaged: this.#data.recovery.factsDamaged }
  }

  /** How far this device's clock is to be believed now, and what that rests on. */
  clockTrust(): { readonly trust: Trust; readonly evidence: string } {
    const { trust, evidence } = this.#watch.status()
    return { trust, evidence }
  }

  /** ms since 1970; null while the clock is not to be trusted. */
  trustedNow(): number | null {
    return this.#watch.trustedNow()
  }

  /** Ends the connections, commits what was appended, closes the stores. */
  async close(): Promise<void> {
    this.#schedule.close()
    this.#gate.close()
    this.#sys.close()
    await this.#front.close()
    await this.tables.close()
    await this.log.close()
    this.#watch.close()
    await this.facts.close()
  }
}

/** Records are stamped from here on; what was wrong with the clock before is noted as soon as it is known. */
async function startClock(
  watch: ClockWatch,
  clocks: ChainClocks,
  log: EventLog,
  sink: LogSink,
): Promise<void> {
  watch.onChange((change) => {
    const text = clockChangeText(change)
    if (text !== null) sink[change.trust === 'untrusted' ? 'warn' : 'info'](text)
    clocks.settle(log.chains())
  })
  log.onDurable(() => clocks.settle(log.chains()))
  watch.start(clocks.last(watch.bootId), await log.newestTrustedTime())
}
