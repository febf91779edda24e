/**
 * The one error class of the suite and the kinds it may have.
 *
 * Expected outcomes (a policy decision, a ledger result) are return values. A `StrongroomError` is for a caller's
 * mistake, a missing part, or a broken invariant, and always says what was wrong and what to do.
 */

/** What went wrong, seen from the caller. `docs/errors.md` lists every code with its kind. */
export const errorKinds = [
  'invalid',
  'unauthenticated',
  'forbidden',
  'not_found',
  'conflict',
  'limited',
  'unavailable',
  'aborted',
  'invariant',
] as const;
export type ErrorKind = (typeof errorKinds)[number];

/** Values that can be logged and sent as JSON. Amounts are decimal strings of base units; never secrets. */
export type ErrorDetails = Readonly<
  Record<string, string | number | boolean | null | readonly string[] | readonly number[]>
>;

/** One row of a module's error catalogue; the catalogue is the source of `docs/errors.md`. */
export interface ErrorDefinition {
  readonly kind: ErrorKind;
  /** Why this happens, one sentence. */
  readonly why: string;
  /** What the reader can do about it, one sentence. */
  readonly whatToDo: string;
  /** Whether the same call may succeed later without a change. Default false. */
  readonly retryable?: boolean;
}
export type ErrorCatalogue = Readonly<Record<string, ErrorDefinition>>;

export interface StrongroomErrorOptions {
  readonly kind: ErrorKind;
  readonly details?: ErrorDetails;
  readonly cause?: unknown;
  readonly retryable?: boolean;
  /** From the catalogue; absent where an error crossed a wire that does not carry it. */
  readonly whatToDo?: string;
}

export class StrongroomError extends Error {
  override readonly name = 'StrongroomError';
  readonly code: string;
  readonly kind: ErrorKind;
  readonly details: ErrorDetails;
  readonly retryable: boolean;
  readonly whatToDo: string | undefined;

  constructor(code: string, message: string, options: StrongroomErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.kind = options.kind;
    this.details = options.details ?? {};
    this.retryable = options.retryable ?? false;
    this.whatToDo = options.whatToDo;
  }
}

/**
 * Binds a catalogue to a constructor, so that a module can only throw codes it has documented.
 *
 * @example
 *   const fail = errorsOf(ledgerErrors);
 *   throw fail('LEDGER_UNKNOWN_ACCOUNT', `no account ${path} for ${asset}`, { path, asset });
 */
export function errorsOf<C extends ErrorCatalogue>(catalogue: C) {
  return (
    code: keyof C & string,
    message: string,
    details: ErrorDetails = {},
    cause?: unknown,
  ): StrongroomError => {
    const definition = catalogue[code];
    if (definition === undefined) throw new TypeError(`error code ${code} is in no catalogue`);
    return new StrongroomError(code, message, {
      kind: definition.kind,
      details,
      retryable: definition.retryable ?? false,
      whatToDo: definition.whatToDo,
      ...(cause === undefined ? {} : { cause }),
    });
  };
}

/** True for our error, also one that crossed a module copy; narrows by shape and name. */
export function isStrongroomError(error: unknown): error is StrongroomError {
  return error instanceof Error && error.name === 'StrongroomError' && 'code' in error && 'kind' in error;
}

/** The text of anything thrown, for logs and messages. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Stops the affected part: a state that must never be seen was seen. */
export function invariant(
  condition: boolean,
  message: string,
  details: ErrorDetails = {},
): asserts condition {
  if (!condition)
    throw new StrongroomError('CORE_INVARIANT', message, {
      kind: 'invariant',
      details,
      whatToDo: coreErrors.CORE_INVARIANT.whatToDo,
    });
}

export const coreErrors = {
  CORE_INVARIANT: {
    kind: 'invariant',
    why: 'A state was seen that the code rules out; going on could lose or invent money.',
    whatToDo: 'Keep the process stopped, save its log and the named details, and report it.',
  },
  CORE_AMOUNT_INVALID: {
    kind: 'invalid',
    why: 'An amount was not a whole, non-negative number of base units below 10^78.',
    whatToDo:
      'Send the amount as a decimal string of base units (wei, sat, sun, lamport), without sign, point or exponent.',
  },
  CORE_ASSET_INVALID: {
    kind: 'invalid',
    why: 'An asset id was not of the form <chain>/<namespace>:<reference> or ledger:<name>.',
    whatToDo: 'Use the id the API lists for the asset, for example eip155:1/slip44:60.',
  },
  CORE_ASSET_MISMATCH: {
    kind: 'invariant',
    why: 'Amounts of two different assets met in one sum.',
    whatToDo: 'This is a defect of the suite; report it with the named assets.',
  },
  CORE_ID_INVALID: {
    kind: 'invalid',
    why: 'An id did not have the prefix and UUID form asked for.',
    whatToDo: 'Make the id with the prefix named in the message followed by a UUIDv7 in lower case.',
  },
  CORE_JSON_NOT_CANONICAL: {
    kind: 'invalid',
    why: 'A value cannot be written as canonical JSON (it holds undefined, a bigint, a float or a non-finite number).',
    whatToDo: 'Send integers below 2^53 as numbers and all amounts as decimal strings.',
  },
} as const satisfies ErrorCatalogue;
