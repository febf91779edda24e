/** `engine drill`: a planned change of the primary, on this machine, with nothing of the installation touched. */
import { type DrillOutcome, runDrill } from '#matching/process';
import { formatTable } from '../format.ts';
import type { Output } from '../output.ts';
import { readConfigFile } from './engine-run.ts';

const ms = (value: number): string => `${value.toFixed(1)} ms`;

function textOf(outcome: DrillOutcome): string {
  const { acknowledged } = outcome;
  return [
    formatTable([
      ['fenced', ms(outcome.fencedMs), 'the old primary can acknowledge nothing more'],
      [
        'recovered',
        ms(outcome.recoveredMs),
        `the journal was read, ${outcome.behind} commands of it after the claim`,
      ],
      ['serving', ms(outcome.servingMs), 'the new primary takes commands'],
      ['link', ms(outcome.linkMs), 'clients can connect to it'],
      ['pause', ms(outcome.pauseMs), 'the longest without an answer to any client'],
    ]),
    '',
    formatTable([
      ['old primary', `epoch ${outcome.epoch - 1}, ended with ${outcome.oldPrimary}`],
      ['new primary', `epoch ${outcome.epoch}, goes on after command ${outcome.seq}`],
      ['acknowledged', `${acknowledged.before} before, ${acknowledged.after} after`],
      ['unanswered', `${outcome.unanswered} (in the journal or not)`],
      ['missing', `${outcome.missing} of what was acknowledged`],
      ['hash', outcome.stateHash],
    ]),
    '',
    outcome.ok ? 'Nothing that was acknowledged is missing.' : 'The drill FAILED.',
  ].join('\n');
}

/** @returns exit code @throws CLI_FILE_INVALID, MATCHING_CONFIG_INVALID, MATCHING_STOPPED */
export async function showDrill(configFile: string | undefined, output: Output): Promise<0 | 1> {
  const outcome = await runDrill(readConfigFile(configFile));
  output.show({ ...outcome }, textOf(outcome));
  return outcome.ok ? 0 : 1;
}
