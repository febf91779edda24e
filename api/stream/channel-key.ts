/** The name of a channel in the feed. For both ends. */
import type { ChannelKey } from '#matching/trading/contract';
import type { ChannelSpec } from './messages.ts';

export function keyOf(spec: ChannelSpec): ChannelKey {
  switch (spec.channel) {
    case 'candles':
      return `candles/${spec.market}/${spec.interval}`;
    case 'account':
      return `account/${spec.accountId}`;
    case 'book':
    case 'trades':
    case 'ticker':
      return `${spec.channel}/${spec.market}`;
  }
}
