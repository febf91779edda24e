/** The one signal, and waiting for it: a hint to look again. */
import { condition, defineSignal, setHandler } from '@temporalio/workflow';
import { wakeSignalName } from '../contract.ts';

const wakeSignal = defineSignal(wakeSignalName);

export interface Wake {
  /** Until a wake-up since the last wait, or until the time is over. */
  wait(timeoutMs: number): Promise<void>;
}

/** To be called first in a workflow: signals that came before it are delivered then. */
export function listenForWake(): Wake {
  let isAwake = false;
  setHandler(wakeSignal, () => {
    isAwake = true;
  });
  return {
    wait: async (timeoutMs) => {
      await condition(() => isAwake, timeoutMs);
      isAwake = false;
    },
  };
}
