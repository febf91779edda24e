/** Following payments of one wallet, shared by batches and sweeps: sign and send in order, then look until all ended. */
import { CancellationScope, sleep, workflowInfo } from '@temporalio/workflow';
import { chainActivities, signing } from './proxies.ts';
import type { PaymentPace } from './settings.ts';

interface Followed {
  readonly paymentId: string;
  /** Since it was last signed, sent or refused, counted in our own sleeps. */
  waitedMs: number;
  isRefused: boolean;
  hasEnded: boolean;
}

/** Signs attempt `number` and sends it. */
async function pay(chain: string, payment: Followed, number: number): Promise<void> {
  const { outcome } = await signing.signPayment({ paymentId: payment.paymentId, number });
  if (outcome === 'signed') await chainActivities(chain).sendPayment({ paymentId: payment.paymentId });
  payment.isRefused = outcome === 'refused';
  // Also after a fee cap or a refusal: try again after a while, not at once.
  payment.waitedMs = 0;
}

async function look(chain: string, payment: Followed, pace: PaymentPace): Promise<void> {
  const { trackPayment, sendPayment } = chainActivities(chain);
  const { status, attempts } = await trackPayment({ paymentId: payment.paymentId });
  const isLongWaiting = payment.waitedMs >= pace.stuckAfterMs;
  switch (status) {
    case 'ended':
      payment.hasEnded = true;
      return;
    case 'mined':
      payment.waitedMs = 0;
      return;
    case 'unsigned':
      if (!payment.isRefused || isLongWaiting) await pay(chain, payment, 0);
      return;
    case 'lost':
      await sendPayment({ paymentId: payment.paymentId });
      break;
    case 'pending':
      break;
  }
  if (isLongWaiting) await pay(chain, payment, attempts);
}

/**
 * Returns once every payment has ended. Nothing here can be cancelled: once something may be signed it is followed to its
 * end. `again` continues as new with the same input; what is done is found done.
 */
export async function followPayments(
  chain: string,
  paymentIds: readonly string[],
  pace: PaymentPace,
  again: () => Promise<never>,
): Promise<void> {
  await CancellationScope.nonCancellable(async () => {
    const payments: Followed[] = paymentIds.map((paymentId) => ({
      paymentId,
      waitedMs: 0,
      isRefused: false,
      hasEnded: false,
    }));
    // One after the other: a nonce is not used before the one below it.
    for (const payment of payments) await pay(chain, payment, 0);
    for (;;) {
      for (const payment of payments) if (!payment.hasEnded) await look(chain, payment, pace);
      if (payments.every((payment) => payment.hasEnded)) return;
      if (workflowInfo().continueAsNewSuggested) await again();
      await sleep(pace.pollMs);
      for (const payment of payments) payment.waitedMs += pace.pollMs;
    }
  });
}
