/** Tells the demo: a numbered step, its facts as they come, its end; and keeps everything for demo-report.json. */
import { styleText } from 'node:util';

export type Facts = Record<string, string | number | boolean | readonly string[]>;
export interface StepReport {
  readonly id: string;
  readonly title: string;
  ok: boolean;
  seconds: number;
  readonly facts: Facts;
}

export interface Step {
  /** A fact anybody can check against the node: printed and reported. */
  fact(name: string, value: Facts[string]): void;
  /** A sentence of the story. */
  say(text: string): void;
}

export interface Story {
  step(id: string, title: string, tell: (step: Step) => Promise<void>): Promise<void>;
  readonly steps: readonly StepReport[];
}

export function createStory(print: (line: string) => void): Story {
  const steps: StepReport[] = [];
  return {
    steps,
    async step(id, title, tell) {
      const report: StepReport = { id, title, ok: false, seconds: 0, facts: {} };
      steps.push(report);
      print('');
      print(styleText('bold', `${steps.length}. ${title}`));
      const started = performance.now();
      try {
        await tell({
          fact: (name, value) => {
            report.facts[name] = value;
            const text = Array.isArray(value) ? value.join(', ') : String(value as string | number | boolean);
            print(`   ${styleText('dim', `${name}:`)} ${text}`);
          },
          say: (text) => {
            print(`   ${text}`);
          },
        });
        report.ok = true;
      } catch (error) {
        report.facts['error'] = error instanceof Error ? error.message : String(error);
        print(styleText('red', `   not ok: ${report.facts['error']}`));
        throw error;
      } finally {
        report.seconds = Math.round(performance.now() - started) / 1000;
        print(styleText('dim', `   ${report.ok ? 'ok' : 'FAILED'}, ${report.seconds.toFixed(1)} s`));
      }
    },
  };
}
