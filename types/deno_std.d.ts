/**
 * Types of what dks uses of the standard library.
 *
 * The npm package `deno-std` republishes the modules of `@std` without their types. These
 * declarations say what the documentation of the originals says, as far as it is used here.
 * `tests/imports_test.ts` checks that every `@std/…` of the import map is declared.
 */

declare module "@std/assert" {
  export class AssertionError extends Error {}
  export function assert(expression: unknown, message?: string): asserts expression;
  export function assertEquals<T>(actual: T, expected: T, message?: string): void;
  export function assertNotEquals<T>(actual: T, expected: T, message?: string): void;
  export function assertStrictEquals<T>(
    actual: unknown,
    expected: T,
    message?: string,
  ): asserts actual is T;
  export function assertGreater<T>(actual: T, expected: T, message?: string): void;
  export function assertGreaterOrEqual<T>(actual: T, expected: T, message?: string): void;
  export function assertLess<T>(actual: T, expected: T, message?: string): void;
  export function assertLessOrEqual<T>(actual: T, expected: T, message?: string): void;
  export function assertMatch(actual: string, expected: RegExp, message?: string): void;
  export function assertStringIncludes(actual: string, expected: string, message?: string): void;
  export function assertThrows<E extends Error = Error>(
    fn: () => unknown,
    ErrorClass: abstract new (...args: never[]) => E,
    messageIncludes?: string,
    message?: string,
  ): E;
  export function assertRejects<E extends Error = Error>(
    fn: () => PromiseLike<unknown>,
    ErrorClass: abstract new (...args: never[]) => E,
    messageIncludes?: string,
    message?: string,
  ): Promise<E>;
  export function fail(message?: string): never;
}

declare module "@std/async/deadline" {
  /** Rejects with a `DOMException` named `TimeoutError` when `ms` milliseconds are over. */
  export function deadline<T>(
    promise: Promise<T>,
    ms: number,
    options?: { readonly signal?: AbortSignal },
  ): Promise<T>;
}

declare module "@std/async/delay" {
  export function delay(
    ms: number,
    options?: { readonly signal?: AbortSignal; readonly persistent?: boolean },
  ): Promise<void>;
}

declare module "@std/async/retry" {
  export interface RetryOptions {
    readonly multiplier?: number;
    readonly maxTimeout?: number;
    readonly maxAttempts?: number;
    readonly minTimeout?: number;
    readonly jitter?: number;
    readonly isRetriable?: (error: unknown) => boolean;
    readonly signal?: AbortSignal;
  }
  export class RetryError extends Error {}
  export function retry<T>(fn: () => Promise<T> | T, options?: RetryOptions): Promise<T>;
}

declare module "@std/cli/parse-args" {
  export interface ParseOptions {
    readonly string?: readonly string[];
    readonly boolean?: readonly string[];
    readonly collect?: readonly string[];
    readonly alias?: Readonly<Record<string, string>>;
    readonly default?: Readonly<Record<string, unknown>>;
    readonly stopEarly?: boolean;
    readonly "--"?: boolean;
    readonly unknown?: (argument: string, key?: string, value?: unknown) => unknown;
  }
  export function parseArgs(
    args: string[],
    options?: ParseOptions,
  ): { [name: string]: unknown; _: (string | number)[] };
}

declare module "@std/csv/parse" {
  export function parse(
    input: string,
    options?: { readonly separator?: string; readonly trimLeadingSpace?: boolean },
  ): string[][];
}

declare module "@std/fmt/colors" {
  export function setColorEnabled(value: boolean): void;
  export function getColorEnabled(): boolean;
  export function bold(text: string): string;
  export function dim(text: string): string;
  export function red(text: string): string;
  export function green(text: string): string;
  export function yellow(text: string): string;
  export function stripAnsiCode(text: string): string;
}
