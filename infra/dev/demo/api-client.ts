/** The demo talks to the suite as any customer or treasurer does: over HTTP with a bearer token of a role. */
import { readFileSync } from 'node:fs';
import type { SuiteFiles, TokenRole } from '../suite-files.ts';

const callTimeoutMs = 30_000;

export interface Withdrawal {
  readonly id: string;
  readonly state: string;
  readonly address: string;
  readonly units: string;
  readonly txId: string | null;
  readonly feeUnits: string | null;
  readonly intentHash: string;
  readonly decision: {
    readonly outcome: string;
    readonly rules: readonly string[];
    readonly reason?: string;
  } | null;
  readonly missingApprovals: Readonly<Record<string, number>>;
}
export interface Deposit {
  readonly id: string;
  readonly state: string;
  readonly units: string;
  readonly txId: string;
  readonly blockHeight: number;
  readonly blockHash: string;
}
export interface Balance {
  readonly asset: string;
  readonly available: string;
  readonly held: string;
  readonly provisional: string;
}

/** An error answer of the api (problem+json). */
export class ApiProblem extends Error {
  readonly status: number;
  readonly code: string;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(call: string, status: number, problem: { code?: string; detail?: string; details?: object }) {
    super(`${call}: ${problem.code ?? status}: ${problem.detail ?? ''}`);
    this.status = status;
    this.code = problem.code ?? '';
    this.details = { ...problem.details };
  }
}

export interface ApiClient {
  /** @throws ApiProblem */
  call<T>(role: TokenRole, method: 'GET' | 'PUT' | 'POST', path: string, body?: unknown): Promise<T>;
}

export function createApiClient(url: string, files: SuiteFiles): ApiClient {
  return {
    async call<T>(role: TokenRole, method: 'GET' | 'PUT' | 'POST', path: string, body?: unknown) {
      const token = readFileSync(files.tokenFileOf(role), 'utf8').trim();
      const answer = await fetch(`${url}${path}`, {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(callTimeoutMs),
      });
      const content = (await answer.json()) as unknown;
      if (answer.ok) return content as T;
      throw new ApiProblem(`${method} ${path}`, answer.status, content as Partial<ApiProblem>);
    },
  };
}
