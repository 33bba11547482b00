import { chownSync } from 'node:fs'
import { expect, it } from 'vitest'
import { openLog } from '../../../broker/open-log.ts'
import { type OwnerProbe, refuseRootOnOthers } from '../../../broker/storage/owner.ts'
import { dataDirectory, startBroker } from '../mqtt/support.ts'

const names = new Map([[113, 'headwater']])
const system = (uid: number | undefined, owner: number): OwnerProbe => ({
  uid,
  ownerOf: async () => owner,
  nameOf: async (id) => names.get(id) ?? null,
})

it('lets everybody open what is his own, and whom the file system lets, what is not', async () => {
  for (const [uid, owner] of [
    [0, 0],
    [1000, 1000],
    [1000, 113],
    [undefined, 0],
  ] as const)
    await expect(refuseRootOnOthers('/data', system(uid, owner))).resolves.toBeUndefined()
})

it('refuses root in the directory of another user, and names the user to be', async () => {
  await expect(refuseRootOnOthers('/data', system(0, 113))).rejects.toMatchObject({
    code: 'HW_DATA_DIRECTORY',
    message: expect.stringContaining('it belongs to headwater'),
    hint: 'run the same as that user: sudo -u headwater headwater ...',
  })
  await expect(refuseRootOnOthers('/data', system(0, 4711))).rejects.toMatchObject({
    hint: "run the same as that user: sudo -u '#4711' headwater ...",
  })
})

it.skipIf(process.geteuid?.() !== 0)(
  'keeps commands of root from opening the log of another user, by the real system',
  async () => {
    const data = dataDirectory()
    const { broker } = await startBroker({ data })
    await broker.close()
    chownSync(data, 65_534, 65_534)
    await expect(openLog(data)).rejects.toMatchObject({
      code: 'HW_DATA_DIRECTORY',
      message: expect.stringContaining('it belongs to nobody'),
    })
    chownSync(data, 0, 0)
    await (await openLog(data)).close()
  },
)
