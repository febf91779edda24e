/** A committee of real co-signer parts behind real HTTP, as witnesses of a ledger; without the signing engine. */

import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createHeadWitnesses } from '#custody';
import type { CommitteeFile } from '#custody/protocol';
import { createLogger } from '#infra/log';
import type { HeadWitnesses } from '#ledger/contract';
import { openIdentity } from '../../custody/signer/identity.ts';
import { ledgerHeadRoutes } from '../../custody/signer/ledger-heads.ts';
import { createSignerServer } from '../../custody/signer/server.ts';
import { type Fixture, openFixture } from '../signer/fixture.ts';

export interface Witnesses extends HeadWitnesses {
  readonly committee: CommitteeFile;
  fixture(party: number): Fixture;
  /** Stops answering. */
  stop(party: number): Promise<void>;
  /** Answers again, after closing and opening the store. */
  restart(party: number): Promise<void>;
  close(): Promise<void>;
}

const silent = createLogger('witness', { level: 'silent' });
const notHere = (): never => {
  throw new Error('this witness only keeps ledger heads');
};

interface Member {
  fixture: Fixture;
  server: Server;
  port: number;
  signingKey: string;
}

async function serve(fixture: Fixture, party: number, port: number): Promise<Omit<Member, 'fixture'>> {
  const { coSigner, dataDir } = fixture;
  const identity = openIdentity({ file: join(dataDir, 'identity.json'), party, sealer: coSigner.sealer });
  const server = createSignerServer(
    {
      health: notHere,
      identity: notHere,
      statement: notHere,
      log: notHere,
      post: ledgerHeadRoutes(coSigner.ledgerHeads, identity),
    },
    silent,
  );
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return { server, port: (server.address() as AddressInfo).port, signingKey: identity.signingKey };
}

/** Closed by `closeFixtures` and `close`. @param publicKey of the ledger, pinned by all of them */
export async function openWitnesses(publicKey: string, parties = 3): Promise<Witnesses> {
  const members = await Promise.all(
    Array.from({ length: parties }, async (_, index): Promise<Member> => {
      const fixture = openFixture({ config: { party: index + 1, ledgerPublicKey: publicKey } });
      return { fixture, ...(await serve(fixture, index + 1, 0)) };
    }),
  );
  const of = (party: number): Member => {
    const member = members[party - 1];
    if (member === undefined) throw new Error(`no witness ${party}`);
    return member;
  };
  const stop = async (party: number): Promise<void> => {
    const { server } = of(party);
    if (!server.listening) return;
    // Its kept connections end with it; the next question opens new ones.
    client.close();
    client = connect();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  const committee: CommitteeFile = {
    threshold: 2,
    members: members.map(({ port, signingKey }, index) => ({
      party: index + 1,
      url: `http://127.0.0.1:${port}`,
      signingKey,
      encryptionKey: '00'.repeat(32),
    })),
  };
  const connect = () =>
    createHeadWitnesses({ committee, random: { bytes: (length) => randomBytes(length) } });
  let client = connect();
  return {
    committee,
    publish: async (head) => await client.publish(head),
    read: async (count, upTo) => await client.read(count, upTo),
    fixture: (party) => of(party).fixture,
    stop,
    async restart(party) {
      await stop(party);
      const member = of(party);
      const fixture = await member.fixture.reopen();
      Object.assign(member, { fixture, ...(await serve(fixture, party, member.port)) });
    },
    async close() {
      client.close();
      for (let party = 1; party <= parties; party++) {
        await stop(party);
        await of(party).fixture.close();
      }
    },
  };
}
