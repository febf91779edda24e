/** What operations ask of custody: a part of its facade, so that a test can stand a single key behind it. */
import type { Custody } from '#custody/contract';

export type { OwnAddress } from '#custody/contract';
export type CustodyPort = Pick<
  Custody,
  'newDepositAddress' | 'hotAddress' | 'findAddresses' | 'addressPage' | 'walletRoot' | 'sign'
>;
