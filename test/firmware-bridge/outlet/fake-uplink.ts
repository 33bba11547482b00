/** An uplink that keeps what is published, and answers as a test says. */
import type {
  DeviceConnect,
  DeviceSession,
  PublishResult,
  Uplink,
  UplinkMessage,
} from '../../../firmware-bridge/uplink/uplink.ts'

export class FakeUplink implements Pick<Uplink, 'connect'> {
  readonly connects: DeviceConnect[] = []
  /** Each PUBLISH, in the order in which they came. */
  readonly published: UplinkMessage[] = []
  readonly ended: string[] = []
  /** Thrown by the next connects. */
  readonly connectFailures: Error[] = []
  answer: (message: UplinkMessage) => PublishResult | Promise<PublishResult> = () => ({ kind: 'accepted' })

  async connect(connect: DeviceConnect): Promise<DeviceSession> {
    this.connects.push(connect)
    const failure = this.connectFailures.shift()
    if (failure !== undefined) throw failure
    const unused = () => {
      throw new Error('not used here')
    }
    return {
      isPresent: false,
      publish: async (message) => {
        this.published.push(message)
        return this.answer(message)
      },
      end: async (how) => {
        this.ended.push(how)
      },
      release: unused,
      subscribe: unused,
      unsubscribe: unused,
      setWill: unused,
    }
  }

  get texts(): [topic: string, payload: string][] {
    return this.published.map(({ topic, payload }) => [topic, Buffer.from(payload).toString()])
  }
}
