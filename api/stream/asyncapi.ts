/** The AsyncAPI 3.0 document of the stream, from the schemas that messages are read with; `npm run generate` writes it. */
import { z } from 'zod';
import { signedHeaders } from '../signed-request.ts';
import { closeCodes, inboundBytesMax, streamLimits, streamPath } from './limits.ts';
import { clientMessages, feedMessages, type Op, serverMessages } from './messages.ts';

type ServerWord = keyof typeof serverMessages | keyof typeof feedMessages;

const clientSummaries: Readonly<Record<Op, string>> = {
  subscribe: 'Hear a channel, from now on or after a message; again for the same channel: anew',
  unsubscribe: 'Hear it no longer',
  ping: 'Is the server there',
  place: 'Place an order',
  'place-batch': 'Place up to 50 orders, one after the other with nothing between them',
  amend: 'Change price or size of an open order; needs one of orderId and clientOrderId',
  cancel: 'Cancel an open order; needs one of orderId and clientOrderId',
  'cancel-batch': 'Cancel up to 50 open orders by their names, one after the other with nothing between them',
  'cancel-all': 'Cancel all open orders of an account, or of one market',
};
const serverSummaries: Readonly<Record<ServerWord, string>> = {
  status:
    'Whether there is a connection to the engine: first on every connection, and whenever that changes. `live` comes after what was missed',
  subscribed:
    'The channel is heard; the snapshot of book, ticker or account follows unless messages were gone on with',
  snapshot: 'All of the channel at `seq` of the snapshot; every message after it follows',
  resync:
    'The chain is broken: what was known of the channel is void, a snapshot follows as after `subscribed`',
  ended: 'The channel gives nothing more; subscribe again',
  unsubscribed: 'Nothing of the channel follows',
  pong: 'Answer to ping',
  answer: 'What became of an order message; of a batch: of each of its orders',
  problem: 'A message was refused; nothing of it was done, unless the code says that this is not known',
  book: 'Prices that changed, with their new sizes',
  trades: 'New trades',
  ticker: 'The new ticker',
  candles: 'Candles that changed, whole',
  account: 'What happened to an account, in order',
};
const repliesOf: Readonly<Record<Op, readonly ServerWord[]>> = {
  subscribe: ['subscribed', 'problem'],
  unsubscribe: ['unsubscribed', 'problem'],
  ping: ['pong', 'problem'],
  place: ['answer', 'problem'],
  'place-batch': ['answer', 'problem'],
  amend: ['answer', 'problem'],
  cancel: ['answer', 'problem'],
  'cancel-batch': ['answer', 'problem'],
  'cancel-all': ['answer', 'problem'],
};
const unasked: readonly ServerWord[] = [
  'status',
  'snapshot',
  'resync',
  'ended',
  ...(Object.keys(feedMessages) as ServerWord[]),
];

function messageOf(
  name: string,
  {
    summary,
    schema,
    io,
  }: { readonly summary: string; readonly schema: z.ZodType; readonly io: 'input' | 'output' },
) {
  // AsyncAPI's own schema format is JSON Schema draft 07 and more.
  const { $schema: _dialect, ...payload } = z.toJSONSchema(schema, { target: 'draft-07', io });
  return { name, summary, payload };
}
const inChannel = (word: string) => ({ $ref: `#/channels/stream/messages/${word}` });
const channel = { $ref: '#/channels/stream' };

export function asyncApi() {
  const messages = {
    ...Object.fromEntries(
      Object.entries(clientMessages).map(([op, schema]) => [
        op,
        messageOf(op, { summary: clientSummaries[op as Op], schema, io: 'input' }),
      ]),
    ),
    ...Object.fromEntries(
      Object.entries({ ...serverMessages, ...feedMessages }).map(([word, schema]) => [
        word,
        messageOf(word, { summary: serverSummaries[word as ServerWord], schema, io: 'output' }),
      ]),
    ),
  };
  const requests = Object.fromEntries(
    Object.entries(repliesOf).map(([op, replies]) => [
      op,
      {
        action: 'receive',
        channel,
        summary: clientSummaries[op as Op],
        messages: [inChannel(op)],
        reply: { channel, messages: replies.map(inChannel) },
      },
    ]),
  );
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Strongroom stream',
      version: '0.1.0',
      license: { name: 'Apache-2.0' },
      description:
        'Market data, private streams and order entry over one WebSocket. One text message is one JSON document.',
    },
    defaultContentType: 'application/json',
    servers: {
      api: {
        host: '{host}',
        protocol: 'wss',
        variables: { host: { description: 'host and port of the api' } },
        security: [
          { $ref: '#/components/securitySchemes/bearer' },
          { $ref: '#/components/securitySchemes/signed' },
        ],
      },
    },
    channels: {
      stream: {
        address: streamPath,
        messages: Object.fromEntries(
          Object.keys(messages).map((word) => [word, { $ref: `#/components/messages/${word}` }]),
        ),
        bindings: { ws: { method: 'GET', bindingVersion: '0.1.0' } },
        'x-close-codes': closeCodes,
        'x-limits': { ...streamLimits, inboundBytesMax },
      },
    },
    operations: {
      ...requests,
      feed: {
        action: 'send',
        channel,
        summary: 'What the server sends of the engine, and of the channels that are heard',
        messages: unasked.map(inChannel),
      },
    },
    components: {
      messages,
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer' },
        signed: {
          type: 'httpApiKey',
          in: 'header',
          name: signedHeaders.signature,
          description: `Ed25519 over the upgrade request, with ${signedHeaders.key} and ${signedHeaders.timestamp}; docs/operations/api-keys.md`,
        },
      },
    },
  };
}
