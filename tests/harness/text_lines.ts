/**
 * The lines that a process prints, as they come.
 *
 * @module
 */

/** Collects the lines of a stream, and lets others wait for one of them. */
export class TextLines {
  readonly lines: string[] = [];
  /** Resolves when the stream has ended. */
  readonly ended: Promise<void>;
  readonly #searches = new Set<{ pattern: RegExp; resolve: (line: string) => void }>();

  /** @param onLine called with every line */
  constructor(stream: ReadableStream<Uint8Array>, onLine?: (line: string) => void) {
    this.ended = this.#readAll(stream, onLine);
  }

  /** Resolves with the first line that `pattern` matches; never, if there is none. */
  find(pattern: RegExp): Promise<string> {
    const line = this.lines.find((one) => pattern.test(one));
    if (line !== undefined) return Promise.resolve(line);
    const { promise, resolve } = Promise.withResolvers<string>();
    this.#searches.add({ pattern, resolve });
    return promise;
  }

  async #readAll(
    stream: ReadableStream<Uint8Array>,
    onLine: ((line: string) => void) | undefined,
  ): Promise<void> {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const bytes of stream) {
      const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.#add(line, onLine);
    }
    if (rest !== "") this.#add(rest, onLine);
  }

  #add(line: string, onLine: ((line: string) => void) | undefined): void {
    this.lines.push(line);
    onLine?.(line);
    for (const search of this.#searches) {
      if (!search.pattern.test(line)) continue;
      this.#searches.delete(search);
      search.resolve(line);
    }
  }
}
