/**
 * The lines of an import: one JSON object each. Amounts are decimal strings of base units, times milliseconds since 1970.
 *
 *     {"type":"account","account":"customer:acc_<uuid>:main","asset":"eip155:1/slip44:60"}
 *     {"type":"opening","account":"customer:acc_<uuid>:main","asset":"eip155:1/slip44:60","units":"15","reference":"opening:1"}
 *     {"type":"transfer","id":"tr_<uuid>","kind":"post","debit":"...","credit":"...","asset":"...","units":"15",
 *      "code":"inflow","reference":"old-system:4711","linked":true,"atMs":1700000000000}
 *     {"type":"transfer","id":"tr_<uuid>","kind":"pending", as post, "timeoutMs":60000}
 *     {"type":"transfer","id":"tr_<uuid>","kind":"post-pending","pendingId":"tr_<uuid>","asset":"...","units":"15",
 *      "code":"withdrawal-paid","reference":"..."}
 *     {"type":"transfer","id":"tr_<uuid>","kind":"void-pending","pendingId":"tr_<uuid>","code":"...","reference":"..."}
 *
 * An opening balance is booked against `house:suspense`, or against `"against":"house:equity"` or a wallet's suspense. Its
 * `reference` names it once and for all: the id of its transfer follows from it.
 */
import { z } from 'zod';
import { invariant, isStrongroomError, messageOf } from '#core/errors';
import { isId } from '#core/ids';
import { amount, assetId, parseUnits } from '#core/money';
import { type AccountRef, accountKind, accountPath, houseEquity, houseSuspense } from '../accounts.ts';
import { type OpeningSource, openingBalance } from '../journal.ts';
import { referenceCharsMax, type TransferCommand, transferCodes } from '../transfers.ts';

/** What a reader of core makes of a text, with the reader's own words when it refuses. */
function readBy<T>(read: (text: string) => T) {
  return z.string().transform((text, context): T => {
    try {
      return read(text);
    } catch (error) {
      if (!isStrongroomError(error)) throw error;
      context.addIssue({ code: 'custom', message: messageOf(error) });
      return z.NEVER;
    }
  });
}
const account = readBy(accountPath);
const asset = readBy(assetId);
const units = readBy(parseUnits);
const transferId = z.custom<`tr_${string}`>(
  (v) => typeof v === 'string' && isId('tr', v),
  'tr_ followed by a UUID of version 7 or 8 in lower case',
);
const reference = z
  .string()
  .regex(
    new RegExp(`^[!-~]{1,${referenceCharsMax}}$`),
    `1 to ${referenceCharsMax} printable ASCII characters without spaces`,
  );
const unixMs = z.int().min(0);
const named = {
  code: z.enum(transferCodes),
  reference,
  linked: z.boolean().optional(),
  atMs: unixMs.optional(),
};
const isSource = (path: string): path is OpeningSource =>
  path === houseEquity || accountKind(path) === 'suspense';
const source = account.refine(isSource, 'house:suspense, house:equity or suspense:<wallet>');

const accountLine = z.strictObject({ type: z.literal('account'), account, asset });
const openingLine = z
  .strictObject({
    type: z.literal('opening'),
    account,
    asset,
    units,
    reference,
    against: source.default(houseSuspense),
    linked: z.boolean().optional(),
    atMs: unixMs.optional(),
  })
  .refine((line) => line.account !== line.against, 'an opening balance has another account as its source');
const move = {
  type: z.literal('transfer'),
  id: transferId,
  debit: account,
  credit: account,
  asset,
  units,
  ...named,
};
const transferLine = z.discriminatedUnion('kind', [
  z.strictObject({ ...move, kind: z.literal('post') }),
  z.strictObject({ ...move, kind: z.literal('pending'), timeoutMs: z.int().min(1).optional() }),
  z.strictObject({
    type: z.literal('transfer'),
    id: transferId,
    kind: z.literal('post-pending'),
    pendingId: transferId,
    asset,
    units,
    ...named,
  }),
  z.strictObject({
    type: z.literal('transfer'),
    id: transferId,
    kind: z.literal('void-pending'),
    pendingId: transferId,
    ...named,
  }),
]);
const importLine = z.discriminatedUnion('type', [accountLine, openingLine, transferLine]);
type Line = z.output<typeof importLine>;

/** A line that the ledger can be given. */
export type ImportEntry =
  | { readonly type: 'account'; readonly account: AccountRef }
  | { readonly type: 'opening' | 'transfer'; readonly command: TransferCommand };

function commandOf(line: Extract<Line, { type: 'opening' | 'transfer' }>): TransferCommand {
  const at = line.atMs === undefined ? {} : { at: line.atMs };
  const linked = line.linked === true ? { linked: true } : {};
  if (line.type === 'opening') {
    const { account: of, against, reference: name } = line;
    const [command] = openingBalance({
      reference: name,
      account: of,
      against: against as OpeningSource,
      amount: amount(line.asset, line.units),
      ...at,
    });
    invariant(command !== undefined, 'an opening balance is one command');
    return { ...command, ...linked };
  }
  const { id, code, reference: name } = line;
  const base = { id, code, reference: name, ...linked, ...at };
  if (line.kind === 'void-pending') return { ...base, kind: line.kind, pendingId: line.pendingId };
  const moved = amount(line.asset, line.units);
  if (line.kind === 'post-pending')
    return { ...base, kind: line.kind, pendingId: line.pendingId, amount: moved };
  const timeout =
    line.kind === 'pending' && line.timeoutMs !== undefined ? { timeoutMs: line.timeoutMs } : {};
  return { ...base, kind: line.kind, debit: line.debit, credit: line.credit, amount: moved, ...timeout };
}

/** Of a line that cannot be used: what is wrong, and whether it asks for the next line to belong to its chain. */
export interface MalformedLine {
  readonly type: 'malformed';
  readonly reason: string;
  readonly isLinked: boolean;
  readonly id?: string;
}
/** Reasons told of one line. */
const reasonsMax = 3;

export function parseImportLine(text: string): ImportEntry | MalformedLine {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    return { type: 'malformed', reason: 'the line is not JSON', isLinked: /"linked"\s*:\s*true/.test(text) };
  }
  const parsed = importLine.safeParse(content);
  if (!parsed.success) {
    const told = parsed.error.issues
      .slice(0, reasonsMax)
      .map(({ path, message }) => (path.length === 0 ? message : `${path.join('.')}: ${message}`));
    const fields: Readonly<Record<string, unknown>> =
      typeof content === 'object' && content !== null ? { ...content } : {};
    const { id, linked } = fields;
    return {
      type: 'malformed',
      reason: told.join('; '),
      isLinked: linked === true,
      ...(typeof id === 'string' && isId('tr', id) ? { id } : {}),
    };
  }
  const { data } = parsed;
  return data.type === 'account'
    ? { type: 'account', account: { path: data.account, asset: data.asset } }
    : { type: data.type, command: commandOf(data) };
}
