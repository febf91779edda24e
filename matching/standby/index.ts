/** A second process that is ready to go on where the primary ends. */

export type { TakenOver, TakeOverTimes } from '../sequencer/open.ts';
export { type DrillReport, drillTakeOver } from './drill.ts';
export { type Standby, startStandby } from './standby.ts';
