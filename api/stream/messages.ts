/**
 * The messages of the stream, both ways; asyncapi.json is made of these schemas. What a client sends has an `op`; what the server
 * says of its own has a `type`; a message of the feed has neither and is sent as the feed made it.
 */
import { z } from 'zod';
import type { EngineStatus } from '#matching/trading/contract';
import { batchAnswer, nameBatch, orderBatch } from '../order-batch.ts';
import { problemSchema } from '../problem.ts';
import {
  accountId,
  accountSnapshot,
  bookView,
  engineState,
  feedMessages,
  interval,
  marketId,
  newOrder,
  orderChange,
  orderName,
  orderOutcome,
  ownAccount,
  seq,
  shows,
  tickerView,
} from './views.ts';

const id = z.string().min(1).max(64).describe('chosen by the client; the answer has the same');

const byMarket = z.enum(['book', 'trades', 'ticker']);
const specs = {
  market: { channel: byMarket, market: marketId },
  candles: { channel: z.literal('candles'), market: marketId, interval },
  account: { channel: z.literal('account'), accountId },
} as const;
/** One form for each kind of channel, with the fields given. */
const onChannel = <S extends z.ZodRawShape>(fields: S) =>
  z.discriminatedUnion('channel', [
    z.strictObject({ ...fields, ...specs.market }),
    z.strictObject({ ...fields, ...specs.candles }),
    z.strictObject({ ...fields, ...specs.account }),
  ]);
const channelSpec = onChannel({});
/** What a channel is about. */
export type ChannelSpec = z.output<typeof channelSpec>;

const after = seq.optional().describe('`seq` of the last message the client had: go on after it');
const op = <O extends string>(name: O) => ({ op: z.literal(name), id });

export const clientMessages = {
  subscribe: onChannel({ ...op('subscribe'), after }),
  unsubscribe: onChannel(op('unsubscribe')),
  ping: z.strictObject(op('ping')),
  place: z.strictObject({ ...op('place'), order: newOrder }),
  'place-batch': z.strictObject({ ...op('place-batch'), ...orderBatch }),
  amend: z.strictObject({ ...op('amend'), ...orderName, ...orderChange }),
  cancel: z.strictObject({ ...op('cancel'), ...orderName }),
  'cancel-batch': z.strictObject({ ...op('cancel-batch'), ...nameBatch }),
  'cancel-all': z.strictObject({ ...op('cancel-all'), accountId: ownAccount, market: marketId.optional() }),
} as const;
export type Op = keyof typeof clientMessages;
export type ClientMessage = { [O in Op]: z.output<(typeof clientMessages)[O]> }[Op];
export type OrderRequest = Extract<
  ClientMessage,
  { op: 'place' | 'place-batch' | 'amend' | 'cancel' | 'cancel-batch' | 'cancel-all' }
>;

const says = <T extends string>(name: T) => ({ type: z.literal(name) });

/** What the server says of its own. */
export const serverMessages = {
  status: shows<EngineStatus & { readonly type: 'status' }>()(
    z.strictObject({
      ...says('status'),
      engine: engineState,
      sinceMs: z.number().int().describe('when this process found it out, milliseconds since 1970'),
      seq: seq.nullable().describe('last command of what is shown; null while there is nothing to show'),
    }),
  ),
  subscribed: onChannel({
    ...says('subscribed'),
    id,
    seq: seq.describe('where the channel is: `after` of a client that had nothing else of it yet'),
    resync: z
      .boolean()
      .describe(
        '`after` could not be served: begin anew with the snapshot, or with a page from the REST API',
      ),
  }),
  snapshot: z.discriminatedUnion('channel', [
    z.strictObject({ ...says('snapshot'), channel: z.literal('book'), market: marketId, snapshot: bookView }),
    z.strictObject({
      ...says('snapshot'),
      channel: z.literal('ticker'),
      market: marketId,
      snapshot: tickerView,
    }),
    z.strictObject({ ...says('snapshot'), ...specs.account, snapshot: accountSnapshot }),
  ]),
  resync: onChannel({ ...says('resync'), seq }),
  ended: onChannel({ ...says('ended'), problem: problemSchema }),
  unsubscribed: onChannel({ ...says('unsubscribed'), id }),
  pong: z.strictObject({ ...says('pong'), id }),
  answer: z.strictObject({
    ...says('answer'),
    id,
    ok: z.union([orderOutcome, batchAnswer, z.strictObject({ cancelled: z.number().int() })]),
  }),
  problem: z.strictObject({
    ...says('problem'),
    id: id.nullable().describe('null when the message had none that can be read'),
    problem: problemSchema,
  }),
} as const;
type Sent = {
  [T in keyof typeof serverMessages]: z.output<(typeof serverMessages)[T]>;
}[keyof typeof serverMessages];
/** As it is written: a value of the contract's types is readonly. */
export type ServerMessage = DeepReadonly<Sent>;
type DeepReadonly<T> = T extends object ? { readonly [K in keyof T]: DeepReadonly<T[K]> } : T;

export { feedMessages };
