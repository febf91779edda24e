/** Why an order was refused, in its own fields and the market's numbers: the reason says what kind, this says which and by how much. */
import type { EngineView } from '../link/types.ts';
import type { RejectReason, Side, TimeInForce } from '../vocabulary.ts';
import type { NewOrder } from './contract.ts';
import type { Explanation } from './rejections.ts';
import type { MarketScale } from './scale.ts';

type Field = keyof NewOrder & string;
/** What of an order can be placed or amended. */
type Asked = Pick<NewOrder, 'price' | 'size'> & Partial<NewOrder>;

export const usualTimeInForce = (type: NewOrder['type']): TimeInForce =>
  type === 'limit' || type === 'stop-limit' ? 'gtc' : 'ioc';

const articleOf = (type: NewOrder['type']): string => `a ${type} order`;

/** What does not go together, each with its fields; empty when all does. */
function clashesOf(order: NewOrder): readonly (readonly [why: string, ...fields: Field[]])[] {
  const { side, type, timeInForce = usualTimeInForce(type), postOnly, displaySize, budget } = order;
  const clashes: (readonly [string, ...Field[]])[] = [];
  const isByBudget = type === 'market' || type === 'stop';
  const has: Readonly<Partial<Record<Field, boolean>>> = {
    price: !isByBudget,
    triggerPrice: type === 'stop' || type === 'stop-limit',
  };
  for (const field of ['price', 'triggerPrice'] as const)
    if (has[field] === true && order[field] === undefined)
      clashes.push([`${articleOf(type)} needs \`${field}\``, 'type', field]);
    else if (has[field] !== true && order[field] !== undefined)
      clashes.push([`${articleOf(type)} has no \`${field}\``, 'type', field]);
  const mayHaveBudget = isByBudget && side === 'buy';
  if (mayHaveBudget && budget === undefined)
    clashes.push([`a ${type} order to buy needs \`budget\`, what it may spend`, 'type', 'budget']);
  if (!mayHaveBudget && budget !== undefined)
    clashes.push([`${articleOf(type)} to ${side} has no \`budget\``, 'type', 'side', 'budget']);
  if (type !== 'limit') {
    const only = usualTimeInForce(type);
    if (timeInForce !== only)
      clashes.push([
        `${articleOf(type)} is \`timeInForce: ${only}\`, not ${timeInForce}`,
        'type',
        'timeInForce',
      ]);
    if (postOnly === true) clashes.push([`${articleOf(type)} cannot be \`postOnly\``, 'type', 'postOnly']);
    if (displaySize !== undefined)
      clashes.push([`${articleOf(type)} has no \`displaySize\``, 'type', 'displaySize']);
  } else if (timeInForce !== 'gtc') {
    const rests = `rests in the book, and \`timeInForce: ${timeInForce}\` never does`;
    if (postOnly === true) clashes.push([`a \`postOnly\` order ${rests}`, 'postOnly', 'timeInForce']);
    if (displaySize !== undefined)
      clashes.push([`an order with \`displaySize\` ${rests}`, 'displaySize', 'timeInForce']);
  }
  return clashes;
}

/** Undefined when all fields go together. */
export function clashOf(order: NewOrder): Explanation | undefined {
  const clashes = clashesOf(order);
  if (clashes.length === 0) return undefined;
  const why = clashes.map(([sentence]) => sentence).join('; ');
  return {
    why: `${why.charAt(0).toUpperCase()}${why.slice(1)}.`,
    fields: [...new Set(clashes.flatMap(([, ...fields]) => fields))],
  };
}

export interface Refused {
  readonly asked: Asked;
  readonly side: Side;
  /** Number in the engine. */
  readonly account: number;
  readonly scale: MarketScale;
  readonly view: Pick<EngineView, 'market' | 'balance'>;
}
type Explain = (refused: Refused) => Explanation | undefined;

const within = (field: Field, value: string | undefined, low: string, high: string): Explanation => ({
  why:
    value === undefined
      ? `\`${field}\` is missing.`
      : `\`${field}\` ${value} is not within ${low} to ${high}.`,
  fields: [field],
});
const insideLadder =
  (field: 'price' | 'triggerPrice'): Explain =>
  ({ asked, scale: { config, price } }) =>
    within(field, asked[field], price(config.minPrice), price(config.maxPrice));

const explained: Partial<Record<RejectReason, Explain>> = {
  'invalid-price': insideLadder('price'),
  'invalid-trigger': insideLadder('triggerPrice'),
  'invalid-lots': ({ asked, scale }) => explainSize(asked, scale),
  'outside-band': ({ asked, scale, view }) => {
    const now = view.market(scale.no);
    return now && within('price', asked.price, scale.price(now.bandLow), scale.price(now.bandHigh));
  },
  'would-trigger': ({ asked, side, scale, view }) => {
    const now = view.market(scale.no);
    return (
      now && {
        why: `The last price is ${scale.price(now.lastPrice)}: \`triggerPrice\` ${asked.triggerPrice ?? ''} of an order to ${side} must be ${side === 'buy' ? 'above' : 'below'} it.`,
        fields: ['triggerPrice'],
      }
    );
  },
  'value-limit': ({ asked, scale }) => ({
    why: `At most ${scale.value(scale.config.maxOrderValue)} of ${scale.quote}.`,
    fields: asked.budget === undefined ? ['price', 'size'] : ['budget'],
  }),
  'market-closed': ({ scale, view }) => {
    const now = view.market(scale.no);
    return now && { why: `${scale.id} is ${now.state}.`, fields: ['market'] };
  },
  'insufficient-balance': ({ asked, side, account, scale, view }) => {
    const isSale = side === 'sell';
    const { available } = view.balance(account, isSale ? scale.config.base : scale.config.quote);
    const text = isSale ? scale.baseAmount(available) : scale.quoteAmount(available);
    return {
      why: `${text} of ${isSale ? scale.base : scale.quote} is available.`,
      fields: isSale ? ['size'] : asked.budget === undefined ? ['price', 'size'] : ['budget'],
    };
  },
};

/** In the numbers of the market and the account as they are now. Undefined where the reason says all there is to say. */
export const explain = (reason: RejectReason, refused: Refused): Explanation | undefined =>
  explained[reason]?.(refused);

function explainSize({ size, displaySize }: Asked, scale: MarketScale): Explanation {
  const { minOrderLots, maxOrderLots } = scale.config;
  const lots = size === undefined ? 0 : scale.lots(size);
  if (size === undefined) return { why: '`size` is missing.', fields: ['size'] };
  if (lots < minOrderLots || lots > maxOrderLots || displaySize === undefined)
    return {
      why: `\`size\` ${size} is not within ${scale.size(minOrderLots)} to ${scale.size(maxOrderLots)}.`,
      fields: ['size'],
    };
  return {
    why: `\`displaySize\` ${displaySize} is not below \`size\` ${size}, or less than a hundredth of it.`,
    fields: ['displaySize', 'size'],
  };
}
