/** Of the engine's process only the drill is for others; the process itself is `main.ts`. */
export { type DrillOutcome, runDrill } from './drill.ts';
